extern int placeholder_redis;
int placeholder_redis;
