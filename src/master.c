extern int placeholder_master;
int placeholder_master;
