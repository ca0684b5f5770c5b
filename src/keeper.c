extern int placeholder_keeper;
int placeholder_keeper;
