extern int placeholder_db;
int placeholder_db;
