extern int placeholder_ctl_status;
int placeholder_ctl_status;
