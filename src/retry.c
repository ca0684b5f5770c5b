extern int placeholder_retry;
int placeholder_retry;
