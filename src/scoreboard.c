extern int placeholder_scoreboard;
int placeholder_scoreboard;
