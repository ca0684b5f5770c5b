extern int placeholder_json;
int placeholder_json;
