extern int placeholder_limiter;
int placeholder_limiter;
