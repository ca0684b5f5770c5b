extern int placeholder_limiter_shm;
int placeholder_limiter_shm;
