extern int placeholder_hash;
int placeholder_hash;
