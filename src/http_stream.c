extern int placeholder_http_stream;
int placeholder_http_stream;
