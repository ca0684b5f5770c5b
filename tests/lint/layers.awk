# awk -f layers.awk layers FILES SOURCE...: FILES lists the sources, one a line, paths below src/.
# Prints one line for each file without a level and each include that does not point down.

function stem(path)
{
	sub(/\.[a-z]+$/, "", path)
	return path
}

# The module of a file: its own name, a folder's, or the longest x of which it is an x_something.
function module_of(path,    s)
{
	s = stem(path)
	for (;;) {
		if (s in module)
			return module[s]
		if (s ~ /_[^_\/]*$/)
			sub(/_[^_\/]*$/, "", s)
		else if (s ~ /\/[^\/]+$/)
			sub(/[^\/]+$/, "", s)
		else
			return ""
	}
}

# "../buf.h" and "columns.h" in helpers/x.c are buf.h and helpers/columns.h; else from src/.
function resolve(from, include,    folder, path)
{
	folder = from
	if (!sub(/[^\/]*$/, "", folder))
		folder = ""
	path = folder include
	while (sub(/(^|\/)[^\/.]+\/\.\.\//, "/", path))
		;
	sub(/^\//, "", path)
	return path in known ? path : include
}

FNR == 1 { part++ }

part == 1 {
	sub(/#.*/, "")
	gsub(/[()]/, " ")
	if (NF == 0)
		next
	level[$2] = $1
	for (i = 2; i <= NF; i++)
		module[$i] = $2
	next
}

part == 2 {
	known[$0] = 1
	if (module_of($0) == "")
		print $0 ": is in no module of tests/lint/layers"
	next
}

FNR == 1 {
	path = FILENAME
	sub(/^src\//, "", path)
	own = module_of(path)
}

/^[ \t]*#[ \t]*include[ \t]*"/ && own != "" {
	split($0, piece, "\"")
	other = module_of(resolve(path, piece[2]))
	if (other == "")
		print path ":" FNR ": includes " piece[2] ", which is in no module"
	else if (other != own && level[other] >= level[own])
		print path ":" FNR ": " own " (level " level[own] ") includes " piece[2] \
			" of " other " (level " level[other] "): includes point down"
}
