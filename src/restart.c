extern int placeholder_restart;
int placeholder_restart;
