extern int placeholder_document;
int placeholder_document;
