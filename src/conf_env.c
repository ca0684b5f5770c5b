extern int placeholder_conf_env;
int placeholder_conf_env;
