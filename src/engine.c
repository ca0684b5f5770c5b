extern int placeholder_engine;
int placeholder_engine;
