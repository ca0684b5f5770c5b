extern int placeholder_queue;
int placeholder_queue;
