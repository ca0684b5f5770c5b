extern int placeholder_ctl_queue;
int placeholder_ctl_queue;
