extern int placeholder_result;
int placeholder_result;
