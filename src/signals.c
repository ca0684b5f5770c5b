extern int placeholder_signals;
int placeholder_signals;
