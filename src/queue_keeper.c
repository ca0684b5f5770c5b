extern int placeholder_queue_keeper;
int placeholder_queue_keeper;
