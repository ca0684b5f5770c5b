extern int placeholder_queue_listen;
int placeholder_queue_listen;
