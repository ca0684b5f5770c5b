extern int placeholder_conf;
int placeholder_conf;
