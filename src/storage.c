extern int placeholder_storage;
int placeholder_storage;
