extern int placeholder_http;
int placeholder_http;
