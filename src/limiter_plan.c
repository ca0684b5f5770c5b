extern int placeholder_limiter_plan;
int placeholder_limiter_plan;
