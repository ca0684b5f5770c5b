extern int placeholder_log;
int placeholder_log;
