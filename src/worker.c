extern int placeholder_worker;
int placeholder_worker;
