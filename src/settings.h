/*
 * settings - the configuration as the program uses it: plain structs, one for each section
 *
 * conf.c fills them and owns every pointer; everybody else borrows, const. A module is handed its
 * own section.
 *
 * Units      _ms milliseconds, _bytes bytes.
 * Processes  any; a child keeps the settings it was forked with.
 */
#ifndef INDEXOCR_SETTINGS_H
#define INDEXOCR_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A list of strings; items[count] is NULL. */
struct set_list {
	char **items;
	size_t count;
};

enum key_mode { KEY_MODE_AUTO, KEY_MODE_JWT, KEY_MODE_SECRET, KEY_MODE_SECRET_BEARER };

struct set_environment {
	char *name;
	char *database;        /* libpq connection string or URL; secret */
	char *listen_database; /* where LISTEN goes; NULL = database; secret */
	char *storage;         /* "supabase" or "directory:/path" */
	char *supabase_url;    /* NULL with a directory */
	char *service_key;     /* secret; NULL with a directory */
	enum key_mode key_mode;
};

/* "index=index": document_source -> bucket */
struct set_bucket {
	char *source;
	char *bucket;
};

struct set_storage {
	struct set_bucket *buckets;
	size_t bucket_count;
	int64_t max_bytes;             /* a larger document fails */
	int64_t memory_document_bytes; /* up to here a memfd may hold it */
	int64_t timeout_ms;            /* for a whole download */
	char *tmpdir;
};

enum result_format { RESULT_PAGES, RESULT_TEXT };

struct set_queue {
	struct set_list sources;
	char *table;       /* may be schema.table */
	char *pages_table; /* checkpoints */
	char *id_column, *source_column, *number_column, *path_column, *status_column;
	char *worker_column, *content_column, *boosted_column, *created_column;
	int status_ready, status_claimed, status_done, status_failed;
	int64_t poll_interval_ms;
	int64_t lease_ms;
	int64_t idle_close_ms;
	int64_t connect_timeout_ms;
	int64_t statement_timeout_ms;
	int64_t backoff_ms, backoff_max_ms;
	int64_t adopt_foreign_after_ms; /* 0 = never */
	int max_attempts;
	int checkpoint_days;  /* stored pages of a document that is not finished are kept so long */
	bool keep_incomplete; /* incomplete_pages = "keep" */
	enum result_format result_format;
};

struct set_engine {
	char *use; /* "gemini", "openai", "tesseract" */
	char *prompt_directory;
	int page_concurrency;
	int page_tries; /* calls for one page before the document's attempt ends */
	int64_t api_delay_ms;
	int64_t request_timeout_ms;
};

struct set_gemini {
	char *api_key; /* secret; NULL only where another engine is used */
	char *model;
	struct set_list fallback_models;
	char *base_url;
	int max_output_tokens;
	/* Sent only when set: an unknown field is a hard 400. NULL, NaN, INT_MIN, -1 = not set. */
	char *thinking_level; /* "minimal", "low", "medium", "high", "xhigh"; never with a budget */
	char *media_resolution; /* "low", "medium", "high": MEDIA_RESOLUTION_LOW, ... */
	double temperature;
	int thinking_budget;
	int store; /* 0, 1 */
};

struct set_openai {
	char *api_key; /* secret; NULL = none */
	char *model;
	char *base_url;
	int max_output_tokens;
	double temperature; /* NaN = not sent */
};

struct set_tesseract {
	char *languages;
	char *datadir; /* NULL = the library's own */
	int helpers;   /* a worker; 0 = max(1, cores / workers) */
};

struct set_render {
	int dpi; /* for vector pages; a scan keeps its own resolution */
	int max_edge;
	int quality;  /* of JPEG */
	char *format; /* "jpeg" or "png", for engines over HTTP */
	int max_pages;
	int64_t max_pixels;
	int64_t page_timeout_ms;
	int64_t memory_limit_bytes;
};

enum tpm_counts { TPM_INPUT, TPM_TOTAL };

struct set_limits {
	int64_t rpm, tpm, rpd; /* 0 = no such limit */
	double headroom;
	enum tpm_counts tpm_counts;
};

enum redis_loss { REDIS_LOSS_LOCAL, REDIS_LOSS_WAIT };

struct set_redis {
	char *url; /* NULL = none; secret */
	char *prefix;
	enum redis_loss on_loss;
	int hosts;
};

struct set_supervise {
	int64_t drain_timeout_ms;
	int64_t job_timeout_ms;
	int64_t hang_timeout_ms;
	int64_t keeper_timeout_ms; /* the keeper's watchdog: always under a quarter of the lease */
	int64_t restart_backoff_ms, restart_backoff_max_ms;
};

enum scale { SCALE_STATIC, SCALE_QUEUE };

enum log_level { LEVEL_DEBUG, LEVEL_INFO, LEVEL_SUCCESS, LEVEL_WARN, LEVEL_ERROR };
enum log_stderr { LOG_STDERR_AUTO, LOG_STDERR_TEXT, LOG_STDERR_JSON, LOG_STDERR_NONE };

struct set_log {
	char *directory; /* "" = none */
	enum log_level level;
	enum log_stderr to_stderr;
};

struct set_status {
	char *socket;
	char *listen;     /* "" = no web process */
	char *token_file; /* NULL = none */
};

struct settings {
	int workers;     /* with SCALE_QUEUE the least */
	int workers_max; /* the most with SCALE_QUEUE; never under workers */
	int workers_limit;
	enum scale scale;
	char *worker_id; /* prefix: ids are <this>-1 ... <this>-N */
	char *user;      /* "" = stay who we are */
	char *pid_file;  /* "" = none */
	char *environment_file;
	char *render_helper;    /* path of indexocr-render */
	char *tesseract_helper; /* path of indexocr-tesseract */
	struct set_environment *environments;
	size_t environment_count;
	struct set_list warnings; /* kept for status: environments left out, and why */
	struct set_list files;    /* all that this was read from, and a reload will read again */
	struct set_storage storage;
	struct set_queue queue;
	struct set_engine engine;
	struct set_gemini gemini;
	struct set_openai openai;
	struct set_tesseract tesseract;
	struct set_render render;
	struct set_limits limits;
	struct set_redis redis;
	struct set_supervise supervise;
	struct set_log log;
	struct set_status status;
};

#endif
