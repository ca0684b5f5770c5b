extern int placeholder_child;
int placeholder_child;
