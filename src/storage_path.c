extern int placeholder_storage_path;
int placeholder_storage_path;
