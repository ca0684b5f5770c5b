"""The object store behind the storage double: files under a root, strict request targets, Supabase's error bodies."""

import hashlib
import mimetypes
import os
import re
import time
import uuid
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

KEY_CHARACTERS = re.compile(r"[A-Za-z0-9_/!.*'()&$@=;:+,? -]+")       # what Storage takes at upload
RAW_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")     # RFC 3986, path


class StorageError(Exception):
    """Answered with HTTP `http` and the body {statusCode, error, message, code}."""

    def __init__(self, http, status, error, message, code):
        super().__init__(message)
        self.http = http
        self.body = {"statusCode": status, "error": error, "message": message, "code": code}


def no_such_key():
    return StorageError(400, "404", "not_found", "Object not found", "NoSuchKey")


def no_such_bucket():
    return StorageError(400, "404", "Bucket not found", "Bucket not found", "NoSuchBucket")


def duplicate():
    return StorageError(400, "409", "Duplicate", "The resource already exists", "KeyAlreadyExists")


def invalid_request(message):
    return StorageError(400, "400", "Error", message, "InvalidRequest")


def invalid_jws():
    return StorageError(400, "403", "Unauthorized", "Invalid Compact JWS", "AccessDenied")


def decode_target(target):
    """The raw request target to (path segments, query or None); refuses what a careful client never sends."""
    path, mark, query = target.partition("?")
    if not RAW_CHARACTERS.fullmatch(path):
        raise invalid_request(f"the path is not percent-encoded: {path!a}")
    try:
        segments = [unquote_to_bytes(segment).decode("utf-8") for segment in path.split("/")[1:]]
    except UnicodeDecodeError as error:
        raise invalid_request("the path is not UTF-8") from error
    if any(segment in ("", ".", "..") or "/" in segment or "\0" in segment for segment in segments):
        raise invalid_request(f"the path has an empty, dotted or encoded-slash segment: {path!a}")
    return segments, query if mark else None


@dataclass
class Stored:
    path: str
    size: int
    etag: str
    mtime: float
    content_type: str

    def metadata(self):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.mtime))
        return {"eTag": self.etag, "size": self.size, "mimetype": self.content_type, "cacheControl": "no-cache",
                "lastModified": stamp, "contentLength": self.size, "httpStatusCode": 200}


@dataclass
class Store:
    root: str
    public: set = field(default_factory=set)
    types: dict = field(default_factory=dict)      # (bucket, name) -> content type, as uploaded

    def bucket(self, name):
        path = os.path.join(self.root, name)
        if "/" in name or not os.path.isdir(path):
            raise no_such_bucket()
        return path

    def find(self, bucket, name):
        path = os.path.join(self.bucket(bucket), name)
        if not os.path.isfile(path):
            raise no_such_key()
        with open(path, "rb") as file:
            etag = '"' + hashlib.md5(file.read()).hexdigest() + '"'
        kind = self.types.get((bucket, name)) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Stored(path, os.path.getsize(path), etag, os.path.getmtime(path), kind)

    def put(self, bucket, name, data, content_type, upsert):
        path = os.path.join(self.bucket(bucket), name)
        if not KEY_CHARACTERS.fullmatch(name):
            raise StorageError(400, "400", "InvalidKey", f"Invalid key: {name}", "InvalidKey")
        if os.path.exists(path) and not upsert:
            raise duplicate()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".part", "wb") as file:
            file.write(data)
        os.replace(path + ".part", path)
        self.types[bucket, name] = content_type
        return {"Id": str(uuid.uuid4()), "Key": f"{bucket}/{name}"}

    def make_bucket(self, name, public):
        path = os.path.join(self.root, name)
        if "/" in name or name in (".", ".."):
            raise invalid_request("a bucket's name has no slash and no dots alone")
        if os.path.isdir(path):
            raise duplicate()
        os.makedirs(path)
        if public:
            self.public.add(name)
        return {"name": name}

    def bucket_info(self, name):
        self.bucket(name)
        return {"id": name, "name": name, "owner": "", "public": name in self.public, "type": "STANDARD",
                "file_size_limit": None, "allowed_mime_types": None, "created_at": "2026-01-01T00:00:00.000Z",
                "updated_at": "2026-01-01T00:00:00.000Z"}

    def listing(self, bucket, prefix, limit, offset):
        """One level below the prefix; folders have no id."""
        if ".." in prefix.split("/"):
            raise invalid_request("prefix has a dotted segment")
        folder = os.path.join(self.bucket(bucket), prefix.strip("/"))
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        entries = []
        for name in names[offset:offset + limit]:
            key = os.path.join(prefix.strip("/"), name)
            if os.path.isdir(os.path.join(folder, name)):
                entries.append({"name": name, "id": None, "updated_at": None, "created_at": None,
                                "last_accessed_at": None, "metadata": None})
                continue
            meta = self.find(bucket, key).metadata()
            entries.append({"name": name, "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{bucket}/{key}")),
                            "updated_at": meta["lastModified"], "created_at": meta["lastModified"],
                            "last_accessed_at": meta["lastModified"], "metadata": meta})
        return entries
