extern int placeholder_utf8;
int placeholder_utf8;
