extern int placeholder_render;
int placeholder_render;
