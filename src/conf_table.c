#include "conf_table.h"

#include "conf_form.h"
#include "settings.h"

#include <stdio.h>
#include <string.h>

static const char *const words_scale[] = {"static", "queue", NULL};
static const char *const words_key_mode[] = {"auto", "jwt", "secret", "secret+bearer", NULL};
static const char *const words_incomplete[] = {"fail", "keep", NULL};
static const char *const words_result[] = {"pages", "text", NULL};
static const char *const words_engine[] = {"gemini", "tesseract", NULL};
static const char *const words_thinking[] = {"minimal", "low", "medium", "high", "xhigh", NULL};
static const char *const words_resolution[] = {"low", "medium", "high", NULL};
static const char *const words_format[] = {"jpeg", "png", NULL};
static const char *const words_counts[] = {"input", "total", NULL};
static const char *const words_loss[] = {"local", "wait", NULL};
static const char *const words_level[] = {"debug", "info", "success", "warn", "error", NULL};
static const char *const words_stderr[] = {"auto", "text", "json", "none", NULL};

_Static_assert(SCALE_QUEUE == 1, "words_scale follows enum scale");
_Static_assert(KEY_MODE_SECRET_BEARER == 3, "words_key_mode follows enum key_mode");
_Static_assert(RESULT_TEXT == 1, "words_result follows enum result_format");
_Static_assert(TPM_TOTAL == 1, "words_counts follows enum tpm_counts");
_Static_assert(REDIS_LOSS_WAIT == 1, "words_loss follows enum redis_loss");
_Static_assert(LEVEL_ERROR == 4, "words_level follows enum log_level");
_Static_assert(LOG_STDERR_NONE == 3, "words_stderr follows enum log_stderr");

const char *const conf_sections[] = {"storage", "queue", "engine", "gemini", "openai", "tesseract",
	"render", "limits", "redis", "supervise", "log", "status", NULL};

/* Where the value goes: its offset and width. */
#define TO(field)                                                                                  \
	.offset = offsetof(struct settings, field), .width = sizeof(((struct settings *)0)->field)
#define TO_ENV(field)                                                                              \
	.offset = offsetof(struct set_environment, field),                                         \
	.width = sizeof(((struct set_environment *)0)->field)
#define RANGE(low, high, what) .min = (low), .max = (high), .unit = (what)
#define FORM(name)             .form = &conf_form_##name
#define WORDS(name)            .words = words_##name

/* clang-format off */
const struct conf_key conf_keys[] = {
{"", "workers", CONF_INTEGER, "4", TO(workers), RANGE(1, 4096, "processes"),
	.help = "Worker processes; each reads one document at a time. With scale = \"queue\" the least there are. At most workers_limit"},
{"", "scale", CONF_WORD, "static", TO(scale), WORDS(scale),
	.help = "Whether there are always so many workers, or as many as ready documents ask for, from workers to workers_max"},
{"", "workers_max", CONF_INTEGER, NULL, TO(workers_max), RANGE(1, 4096, "processes"),
	.help = "The most workers there are with scale = \"queue\". From workers to workers_limit; not set = workers"},
{"", "workers_limit", CONF_INTEGER, "1024", TO(workers_limit), RANGE(1, 4096, "processes"), .restart = true,
	.help = "How many workers there can ever be; memory is set aside for them at start"},
{"", "worker_id", CONF_TEXT, "index-ocr-${HOSTNAME}", TO(worker_id), FORM(worker_id), .restart = true,
	.help = "Workers are called <this>-1, <this>-2 and so on; differs from host to host"},
{"", "environment_file", CONF_TEXT, "/etc/default/indexocrd", TO(environment_file), FORM(path), .empty = true,
	.help = "File of NAME=value lines for ${NAME}; the process' own environment wins. May be missing at its default path"},
{"", "user", CONF_TEXT, "indexocr", TO(user), FORM(user), .empty = true, .restart = true,
	.help = "User to become when started as root, which is refused without one; \"root\" = stay root. Who is not root stays who he is"},
{"", "pid_file", CONF_TEXT, "/run/indexocr/indexocrd.pid", TO(pid_file), FORM(path), .empty = true, .restart = true,
	.help = "Where the master's process id is written; one daemon per file. \"\" = none"},
{"", "render_helper", CONF_TEXT, "", TO(render_helper), FORM(path), .empty = true,
	.help = "Program that renders pages; \"\" = the one installed with indexocrd"},
{"", "tesseract_helper", CONF_TEXT, "", TO(tesseract_helper), FORM(path), .empty = true,
	.help = "Program that reads pages with Tesseract; \"\" = the one installed with indexocrd"},

{"environment", "database", CONF_SECRET, "", TO_ENV(database), FORM(database), .empty = true,
	.help = "PostgreSQL database with the queue"},
{"environment", "database_file", CONF_SECRET_FILE, NULL, TO_ENV(database), FORM(path), .empty = true,
	.help = "File with the value of database"},
{"environment", "listen_database", CONF_SECRET, "", TO_ENV(listen_database), FORM(database), .empty = true,
	.help = "The same database without a transaction pooler, for LISTEN; \"\" = database"},
{"environment", "listen_database_file", CONF_SECRET_FILE, NULL, TO_ENV(listen_database), FORM(path), .empty = true,
	.help = "File with the value of listen_database"},
{"environment", "storage", CONF_TEXT, "supabase", TO_ENV(storage), FORM(storage),
	.help = "Where the documents are: Supabase Storage, or <directory>/<bucket>/<path>"},
{"environment", "supabase_url", CONF_TEXT, NULL, TO_ENV(supabase_url), FORM(http), .empty = true,
	.help = "URL of the Supabase project"},
{"environment", "service_key", CONF_SECRET, "", TO_ENV(service_key), FORM(header), .empty = true,
	.help = "Service key of the Supabase project"},
{"environment", "service_key_file", CONF_SECRET_FILE, NULL, TO_ENV(service_key), FORM(path), .empty = true,
	.help = "File with the value of service_key"},
{"environment", "key_mode", CONF_WORD, "auto", TO_ENV(key_mode), WORDS(key_mode),
	.help = "How the service key is sent: as a JWT (apikey and Authorization), as a secret key (apikey only), or both; auto goes by its looks"},

{"storage", "buckets", CONF_BUCKETS, "{\"index=index\", \"acte=actes\", \"plan_cadastraux=plans-cadastraux\"}", TO(storage.buckets), FORM(bucket),
	.help = "Bucket of each document_source"},
{"storage", "document_max", CONF_MEGABYTES, "200", TO(storage.max_bytes), RANGE(1, 4096, "MB"),
	.help = "A larger document fails"},
{"storage", "memory_document_max", CONF_MEGABYTES, "4", TO(storage.memory_document_bytes), RANGE(0, 1024, "MB"),
	.help = "Documents up to this size are held in memory instead of tmpdir; at most document_max"},
{"storage", "timeout", CONF_SECONDS, "300", TO(storage.timeout_ms), RANGE(1, 86400, "seconds"),
	.help = "Time for a whole download"},
{"storage", "tmpdir", CONF_TEXT, "/tmp", TO(storage.tmpdir), FORM(path),
	.help = "Directory for unnamed temporary files"},

{"queue", "sources", CONF_LIST, "{\"index\"}", TO(queue.sources), FORM(name),
	.help = "The values of document_source that are ours"},
{"queue", "poll_interval", CONF_SECONDS, "5", TO(queue.poll_interval_ms), RANGE(0.1, 3600, "seconds"),
	.help = "How often to look for documents where no notification comes; less often where notifications are delivered and nothing waits"},
{"queue", "lease", CONF_SECONDS, "60", TO(queue.lease_ms), RANGE(1, 3600, "seconds"),
	.help = "How long a claim stands without being renewed; a dead host's documents are taken over after it"},
{"queue", "max_attempts", CONF_INTEGER, "3", TO(queue.max_attempts), RANGE(1, 100, "attempts"),
	.help = "Attempts before a document fails for good, where the row's ocr_max_attempts is NULL"},
{"queue", "backoff", CONF_SECONDS, "30", TO(queue.backoff_ms), RANGE(0.1, 86400, "seconds"),
	.help = "Wait before the second attempt; doubled each time, with jitter. At most backoff_max"},
{"queue", "backoff_max", CONF_SECONDS, "3600", TO(queue.backoff_max_ms), RANGE(0.1, 604800, "seconds"),
	.help = "Longest wait between attempts"},
{"queue", "incomplete_pages", CONF_WORD, "fail", TO(queue.keep_incomplete), WORDS(incomplete),
	.help = "A page that could not be read makes the document fail, or is kept with a warning"},
{"queue", "result_format", CONF_WORD, "pages", TO(queue.result_format), WORDS(result),
	.help = "What is stored: the result document, or its text only"},
{"queue", "checkpoint_days", CONF_INTEGER, "30", TO(queue.checkpoint_days), RANGE(1, 3650, "days"),
	.help = "Pages already read of a document that is not finished are kept this long"},
{"queue", "adopt_foreign_after", CONF_SECONDS, "0", TO(queue.adopt_foreign_after_ms), RANGE(0, 31536000, "seconds"),
	.help = "Take over claims of other programs that stayed unchanged this long; 0 = never"},
{"queue", "idle_close", CONF_SECONDS, "60", TO(queue.idle_close_ms), RANGE(1, 86400, "seconds"),
	.help = "A worker's database connection is closed after this long without work; but for the one that is woken next"},
{"queue", "connect_timeout", CONF_SECONDS, "10", TO(queue.connect_timeout_ms), RANGE(0.1, 10, "seconds"),
	.help = "Time for connecting to a database, name lookup included"},
{"queue", "statement_timeout", CONF_SECONDS, "10", TO(queue.statement_timeout_ms), RANGE(0.1, 10, "seconds"),
	.help = "Time for one statement; then the connection is given up"},
{"queue", "table", CONF_TEXT, "extraction_queue", TO(queue.table), FORM(table),
	.help = "The queue table"},
{"queue", "pages_table", CONF_TEXT, "extraction_queue_page", TO(queue.pages_table), FORM(table),
	.help = "The table of pages already read"},
{"queue", "id_column", CONF_TEXT, "id", TO(queue.id_column), FORM(column),
	.help = "Column with the primary key"},
{"queue", "source_column", CONF_TEXT, "document_source", TO(queue.source_column), FORM(column),
	.help = "Column with the kind of document"},
{"queue", "number_column", CONF_TEXT, "document_number", TO(queue.number_column), FORM(column),
	.help = "Column with the document's number"},
{"queue", "path_column", CONF_TEXT, "supabase_path", TO(queue.path_column), FORM(column),
	.help = "Column with the document's place in storage"},
{"queue", "status_column", CONF_TEXT, "status_id", TO(queue.status_column), FORM(column),
	.help = "Column with the status"},
{"queue", "worker_column", CONF_TEXT, "worker_id", TO(queue.worker_column), FORM(column),
	.help = "Column with the worker that has claimed the row"},
{"queue", "content_column", CONF_TEXT, "file_content", TO(queue.content_column), FORM(column),
	.help = "Column the result is written to"},
{"queue", "boosted_column", CONF_TEXT, "boosted_file_content", TO(queue.boosted_column), FORM(column),
	.help = "Column the result is written to a second time, for older readers"},
{"queue", "created_column", CONF_TEXT, "created_at", TO(queue.created_column), FORM(column),
	.help = "Column with the time the row was made; the oldest is read first"},
{"queue", "status_ready", CONF_INTEGER, "3", TO(queue.status_ready), RANGE(0, 2147483647, NULL),
	.help = "Status of a document that waits for us"},
{"queue", "status_claimed", CONF_INTEGER, "2", TO(queue.status_claimed), RANGE(0, 2147483647, NULL),
	.help = "Status of a document being read"},
{"queue", "status_done", CONF_INTEGER, "4", TO(queue.status_done), RANGE(0, 2147483647, NULL),
	.help = "Status of a document that has been read"},
{"queue", "status_failed", CONF_INTEGER, "5", TO(queue.status_failed), RANGE(0, 2147483647, NULL),
	.help = "Status of a document that failed for good"},

{"engine", "use", CONF_TEXT, "gemini", TO(engine.use), WORDS(engine),
	.help = "The engine that reads the pages"},
{"engine", "prompt_directory", CONF_TEXT, "", TO(engine.prompt_directory), FORM(path), .empty = true,
	.help = "Directory of the prompts, <document_source>.txt; \"\" = the installed one"},
{"engine", "page_concurrency", CONF_INTEGER, "6", TO(engine.page_concurrency), RANGE(1, 64, "pages"),
	.help = "Pages of one document that are read at once"},
{"engine", "page_tries", CONF_INTEGER, "4", TO(engine.page_tries), RANGE(1, 20, "calls"),
	.help = "Calls for one page before the document's attempt ends"},
{"engine", "api_delay_ms", CONF_INTEGER, "0", TO(engine.api_delay_ms), RANGE(0, 60000, "milliseconds"),
	.help = "Pause of a worker between two calls"},
{"engine", "request_timeout", CONF_SECONDS, "300", TO(engine.request_timeout_ms), RANGE(1, 3600, "seconds"),
	.help = "Time for one call"},

{"gemini", "api_key", CONF_SECRET, "${GEMINI_API_KEY}", TO(gemini.api_key), FORM(header), .empty = true,
	.help = "API key; needed with engine.use = \"gemini\""},
{"gemini", "api_key_file", CONF_SECRET_FILE, NULL, TO(gemini.api_key), FORM(path), .empty = true,
	.help = "File with the value of api_key"},
{"gemini", "model", CONF_TEXT, "gemini-3.5-flash-lite", TO(gemini.model), FORM(model),
	.help = "The model asked first"},
{"gemini", "fallback_models", CONF_LIST, "{}", TO(gemini.fallback_models), FORM(model),
	.help = "Models asked in turn where the first one will not read a page"},
{"gemini", "base_url", CONF_TEXT, "https://generativelanguage.googleapis.com", TO(gemini.base_url), FORM(http),
	.help = "Where the API is"},
{"gemini", "max_output_tokens", CONF_INTEGER, "8192", TO(gemini.max_output_tokens), RANGE(1, 65536, "tokens"),
	.help = "Longest answer for one page, thinking included"},
{"gemini", "temperature", CONF_REAL, NULL, TO(gemini.temperature), RANGE(0, 2, NULL),
	.help = "Sent only when set; newer models ignore or refuse it"},
{"gemini", "thinking_level", CONF_TEXT, NULL, TO(gemini.thinking_level), WORDS(thinking), .empty = true,
	.help = "Sent only when set; not together with thinking_budget"},
{"gemini", "thinking_budget", CONF_INTEGER, NULL, TO(gemini.thinking_budget), RANGE(-1, 65536, "tokens"),
	.help = "Sent only when set, for models up to 2.5; -1 = the model decides"},
{"gemini", "media_resolution", CONF_TEXT, NULL, TO(gemini.media_resolution), WORDS(resolution), .empty = true,
	.help = "Sent only when set: how many tokens an image is given"},
{"gemini", "store", CONF_BOOL, NULL, TO(gemini.store),
	.help = "Sent only when set; false keeps requests out of the provider's logs"},

{"openai", "base_url", CONF_TEXT, "http://127.0.0.1:8000/v1", TO(openai.base_url), FORM(http),
	.help = "Where the API is"},
{"openai", "model", CONF_TEXT, "", TO(openai.model), FORM(model), .empty = true,
	.help = "The model"},
{"openai", "api_key", CONF_SECRET, "", TO(openai.api_key), FORM(header), .empty = true,
	.help = "API key; \"\" = none is sent"},
{"openai", "api_key_file", CONF_SECRET_FILE, NULL, TO(openai.api_key), FORM(path), .empty = true,
	.help = "File with the value of api_key"},
{"openai", "max_output_tokens", CONF_INTEGER, "8192", TO(openai.max_output_tokens), RANGE(1, 65536, "tokens"),
	.help = "Longest answer for one page"},
{"openai", "temperature", CONF_REAL, NULL, TO(openai.temperature), RANGE(0, 2, NULL),
	.help = "Sent only when set"},

{"tesseract", "languages", CONF_TEXT, "fra", TO(tesseract.languages), FORM(languages),
	.help = "Language data to read with; one where one serves"},
{"tesseract", "datadir", CONF_TEXT, NULL, TO(tesseract.datadir), FORM(path), .empty = true,
	.help = "Directory of the language data; not set = the library's own"},
{"tesseract", "helpers", CONF_INTEGER, "0", TO(tesseract.helpers), RANGE(0, 64, "processes"),
	.help = "Reading processes of one worker; 0 = processors divided by workers, at least 1"},

{"render", "dpi", CONF_INTEGER, "300", TO(render.dpi), RANGE(36, 1200, "dots per inch"),
	.help = "Resolution for drawn pages; a scan keeps its own and is never upsampled"},
{"render", "max_edge", CONF_INTEGER, "6144", TO(render.max_edge), RANGE(256, 32767, "pixels"),
	.help = "Longest side of a page image; larger ones are scaled down"},
{"render", "max_pixels", CONF_INTEGER, "100000000", TO(render.max_pixels), RANGE(65536, 1000000000, "pixels"),
	.help = "A page with a larger image fails before it is decoded"},
{"render", "format", CONF_TEXT, "jpeg", TO(render.format), WORDS(format),
	.help = "Image format for engines over HTTP"},
{"render", "quality", CONF_INTEGER, "90", TO(render.quality), RANGE(1, 100, NULL),
	.help = "Quality of JPEG"},
{"render", "max_pages", CONF_INTEGER, "1000", TO(render.max_pages), RANGE(1, 100000, "pages"),
	.help = "A longer document fails"},
{"render", "page_timeout", CONF_SECONDS, "60", TO(render.page_timeout_ms), RANGE(0.1, 3600, "seconds"),
	.help = "Time for rendering one page"},
{"render", "memory_limit", CONF_MEGABYTES, "1024", TO(render.memory_limit_bytes), RANGE(64, 65536, "MB"),
	.help = "Address space of the renderer"},

{"limits", "rpm", CONF_INTEGER, "2000", TO(limits.rpm), RANGE(0, 1e9, "calls a minute"),
	.help = "Quota of calls; 0 = none"},
{"limits", "tpm", CONF_INTEGER, "8000000", TO(limits.tpm), RANGE(0, 1e12, "tokens a minute"),
	.help = "Quota of tokens; 0 = none"},
{"limits", "rpd", CONF_INTEGER, "0", TO(limits.rpd), RANGE(0, 1e12, "calls a day"),
	.help = "Quota of calls a day, which begins at midnight US Pacific time; 0 = none"},
{"limits", "headroom", CONF_REAL, "0.8", TO(limits.headroom), RANGE(0.01, 1, NULL),
	.help = "Share of the quotas that is used"},
{"limits", "tpm_counts", CONF_WORD, "input", TO(limits.tpm_counts), WORDS(counts),
	.help = "What the provider counts as tokens a minute: input, or input and output"},

{"redis", "url", CONF_SECRET, "${REDIS_URL}", TO(redis.url), FORM(redis), .empty = true,
	.help = "Redis that shares the limits among hosts; \"\" = limits of this host alone"},
{"redis", "url_file", CONF_SECRET_FILE, NULL, TO(redis.url), FORM(path), .empty = true,
	.help = "File with the value of url"},
{"redis", "prefix", CONF_TEXT, "gemini", TO(redis.prefix), FORM(prefix),
	.help = "Keys are called <prefix>:workers and so on"},
{"redis", "on_redis_loss", CONF_WORD, "local", TO(redis.on_loss), WORDS(loss),
	.help = "Without Redis: go on with this host's share of the limits, or stop calling"},
{"redis", "hosts", CONF_INTEGER, "0", TO(redis.hosts), RANGE(0, 10000, "hosts"),
	.help = "Hosts that share the limits, for a host that has never seen Redis; 0 = unknown, it waits"},

{"supervise", "drain_timeout", CONF_SECONDS, "300", TO(supervise.drain_timeout_ms), RANGE(0, 86400, "seconds"),
	.help = "How long documents in work may take after TERM before they are given back"},
{"supervise", "job_timeout", CONF_SECONDS, "1800", TO(supervise.job_timeout_ms), RANGE(1, 86400, "seconds"),
	.help = "A document that is worked on for this long without a finished page ends its attempt; waits for quota or outages do not count"},
{"supervise", "hang_timeout", CONF_SECONDS, "30", TO(supervise.hang_timeout_ms), RANGE(5, 3600, "seconds"),
	.help = "A worker that gives no sign of life for this long is killed and replaced; a slow engine is no hang"},
{"supervise", "keeper_timeout", CONF_SECONDS, NULL, TO(supervise.keeper_timeout_ms), RANGE(0.1, 900, "seconds"),
	.help = "The same for the keeper; under a quarter of queue.lease, but never taken for less than 5 s. Not set = a sixth of it"},
{"supervise", "restart_backoff", CONF_SECONDS, "1", TO(supervise.restart_backoff_ms), RANGE(0.01, 3600, "seconds"),
	.help = "Wait before a process that failed early is started again; doubled each time. At most restart_backoff_max"},
{"supervise", "restart_backoff_max", CONF_SECONDS, "60", TO(supervise.restart_backoff_max_ms), RANGE(0.01, 86400, "seconds"),
	.help = "Longest wait before a restart"},

{"log", "directory", CONF_TEXT, "/var/log/indexocr", TO(log.directory), FORM(path), .empty = true,
	.help = "Directory of the log files, <worker id>.ndjson; \"\" = none"},
{"log", "level", CONF_WORD, "info", TO(log.level), WORDS(level),
	.help = "Least level that is logged"},
{"log", "stderr", CONF_WORD, "auto", TO(log.to_stderr), WORDS(stderr),
	.help = "Form of the log on standard error; auto = text on a terminal, prefixed lines under journald, else none"},

{"status", "socket", CONF_TEXT, "/run/indexocr/control.sock", TO(status.socket), FORM(path),
	.help = "Socket for indexocrctl"},
{"status", "listen", CONF_TEXT, "127.0.0.1:9750", TO(status.listen), FORM(listen), .empty = true, .restart = true,
	.help = "Address of the status page; \"\" = none. Other addresses than loopback need token_file"},
{"status", "token_file", CONF_TEXT, NULL, TO(status.token_file), FORM(path), .empty = true, .restart = true,
	.help = "File with the token that readers of the status page must send"},
};
/* clang-format on */

const size_t conf_key_count = sizeof conf_keys / sizeof conf_keys[0];

const struct conf_key *conf_key_find(const char *section, const char *name)
{
	if (section == NULL)
		section = "";
	for (size_t i = 0; i < conf_key_count; i++)
		if (strcmp(conf_keys[i].section, section) == 0 &&
			strcmp(conf_keys[i].name, name) == 0)
			return &conf_keys[i];
	return NULL;
}

size_t conf_key_index(const struct conf_key *key)
{
	return (size_t)(key - conf_keys);
}

bool conf_key_in_environment(const struct conf_key *key)
{
	return strcmp(key->section, "environment") == 0;
}

void conf_key_title(const struct conf_key *key, const char *environment, char out[CONF_TEXT_BYTES])
{
	if (environment != NULL)
		(void)snprintf(out, CONF_TEXT_BYTES, "environment %s: %s", environment, key->name);
	else
		(void)snprintf(out, CONF_TEXT_BYTES, "%s%s%s", key->section,
			key->section[0] != '\0' ? "." : "", key->name);
}

static void allowed_words(const char *const *words, char out[CONF_TEXT_BYTES])
{
	size_t len = 0;

	for (size_t i = 0; words[i] != NULL && len < CONF_TEXT_BYTES; i++) {
		const char *joint = i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ";

		len += (size_t)snprintf(
			out + len, CONF_TEXT_BYTES - len, "%s\"%s\"", joint, words[i]);
	}
}

void conf_key_allowed(const struct conf_key *key, char out[CONF_TEXT_BYTES])
{
	const char *each =
		key->type == CONF_LIST || key->type == CONF_BUCKETS ? "a list, each " : "";

	if (key->words != NULL)
		allowed_words(key->words, out);
	else if (key->form != NULL)
		(void)snprintf(out, CONF_TEXT_BYTES, "%s%s%s", each, key->form->text,
			key->empty && key->fallback != NULL ? ", or \"\"" : "");
	else if (key->type == CONF_BOOL)
		(void)snprintf(out, CONF_TEXT_BYTES, "true or false");
	else
		(void)snprintf(out, CONF_TEXT_BYTES, "%.10g to %.13g%s%s", key->min, key->max,
			key->unit != NULL ? " " : "", key->unit != NULL ? key->unit : "");
}

static bool is_bare(const struct conf_key *key)
{
	switch (key->type) {
	case CONF_INTEGER:
	case CONF_SECONDS:
	case CONF_MEGABYTES:
	case CONF_REAL:
	case CONF_BOOL:
	case CONF_LIST:
	case CONF_BUCKETS:
		return true;
	case CONF_WORD:
	case CONF_TEXT:
	case CONF_SECRET:
	case CONF_SECRET_FILE:
		break;
	}
	return false;
}

void conf_key_default(const struct conf_key *key, char out[CONF_TEXT_BYTES])
{
	const char *quote = is_bare(key) || key->fallback == NULL ? "" : "\"";

	(void)snprintf(out, CONF_TEXT_BYTES, "%s%s%s", quote,
		key->fallback != NULL ? key->fallback : "", quote);
}
