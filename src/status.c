extern int placeholder_status;
int placeholder_status;
