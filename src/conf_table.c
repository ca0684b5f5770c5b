extern int placeholder_conf_table;
int placeholder_conf_table;
