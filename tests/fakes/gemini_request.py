"""Checks a generateContent request as Google's API does: the known field tree, then what the fields mean.

Rule of the double, not of Google: the image part stands before the prompt text.
"""

import base64
import binascii
import hashlib
import io
import json
import re
from dataclasses import dataclass, field

from PIL import Image

IMAGE_TYPES = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
MAX_OUTPUT_TOKENS = 65536
SCHEMA_TYPES = {"string", "number", "integer", "boolean", "object", "array", "null"}


class Refused(Exception):
    """A request that Google answers with 400 INVALID_ARGUMENT; violations: (field, description) pairs."""

    def __init__(self, message, violations=()):
        super().__init__(message)
        self.violations = list(violations)


# --- the field tree: a leaf is a name of a type, a list holds one element type, ("map", t), ("enum", …) ---------------

RESOLUTIONS = ("enum", "MEDIA_RESOLUTION_UNSPECIFIED", "MEDIA_RESOLUTION_LOW", "MEDIA_RESOLUTION_MEDIUM",
               "MEDIA_RESOLUTION_HIGH")
PART = {
    "text": "string", "inlineData": {"mimeType": "string", "data": "bytes"},
    "fileData": {"mimeType": "string", "fileUri": "string"}, "functionCall": "any", "functionResponse": "any",
    "executableCode": "any", "codeExecutionResult": "any", "thought": "bool", "thoughtSignature": "bytes",
    "videoMetadata": "any", "partMetadata": "any",
    "mediaResolution": {"level": RESOLUTIONS + ("MEDIA_RESOLUTION_ULTRA_HIGH",)},
}
CONTENT = {"role": "string", "parts": [PART]}
SCHEMA = {
    "type": ("enum", "TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"),
    "format": "string", "title": "string", "description": "string", "nullable": "bool", "enum": ["string"],
    "maxItems": "int", "minItems": "int", "required": ["string"], "minProperties": "int", "maxProperties": "int",
    "minLength": "int", "maxLength": "int", "pattern": "string", "example": "any", "propertyOrdering": ["string"],
    "default": "any", "minimum": "number", "maximum": "number",
}
SCHEMA.update(properties=("map", SCHEMA), items=SCHEMA, anyOf=[SCHEMA])
GENERATION_CONFIG = {
    "stopSequences": ["string"], "responseMimeType": "string", "responseSchema": SCHEMA, "responseJsonSchema": "any",
    "responseFormat": {"text": {"mimeType": "string", "schema": "any"}}, "responseModalities": ["string"],
    "candidateCount": "int", "maxOutputTokens": "int", "temperature": "number", "topP": "number", "topK": "number",
    "seed": "int", "presencePenalty": "number", "frequencyPenalty": "number", "responseLogprobs": "bool",
    "logprobs": "int", "enableEnhancedCivicAnswers": "bool", "speechConfig": "any", "imageConfig": "any",
    "mediaResolution": RESOLUTIONS,
    "thinkingConfig": {"includeThoughts": "bool", "thinkingBudget": "int",
                       "thinkingLevel": ("enum", "THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")},
}
SAFETY = {
    "category": ("enum", "HARM_CATEGORY_HARASSMENT", "HARM_CATEGORY_HATE_SPEECH", "HARM_CATEGORY_SEXUALLY_EXPLICIT",
                 "HARM_CATEGORY_DANGEROUS_CONTENT", "HARM_CATEGORY_CIVIC_INTEGRITY"),
    "threshold": ("enum", "HARM_BLOCK_THRESHOLD_UNSPECIFIED", "BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE",
                  "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF"),
}
GENERATE = {
    "model": "string", "contents": [CONTENT], "systemInstruction": CONTENT, "tools": ["any"], "toolConfig": "any",
    "safetySettings": [SAFETY], "generationConfig": GENERATION_CONFIG, "cachedContent": "string",
    "serviceTier": ("enum", "STANDARD", "FLEX", "PRIORITY"), "store": "bool", "continuationToken": "string",
}
COUNT = {"contents": [CONTENT], "generateContentRequest": GENERATE}


def camel(name):
    return re.sub(r"_([a-z0-9])", lambda m: m.group(1).upper(), name)


def leaf_error(kind, value):
    """None, or how Google names the value it cannot take."""
    good = {
        "string": lambda v: isinstance(v, str), "bool": lambda v: isinstance(v, bool), "any": lambda v: True,
        "int": lambda v: isinstance(v, int) and not isinstance(v, bool) or isinstance(v, float) and v.is_integer()
        or isinstance(v, str) and re.fullmatch(r"-?\d+", v),
        "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
        "bytes": lambda v: isinstance(v, str),
    }[kind](value)
    proto = {"string": "TYPE_STRING", "bool": "TYPE_BOOL", "int": "TYPE_INT32", "number": "TYPE_FLOAT", "bytes": "TYPE_BYTES"}
    return None if good else f"({proto.get(kind, kind)}), {json.dumps(value)[:60]}"


def walk(tree, value, path, problems):
    """Returns the value with camelCase names, noting (path, description) for whatever does not fit the tree."""
    if isinstance(tree, str):
        error = leaf_error(tree, value)
        if error:
            problems.append((path, f"Invalid value at '{path}' {error}"))
        return value
    if isinstance(tree, tuple) and tree[0] == "enum":
        if not isinstance(value, str) or value.upper() not in tree[1:]:
            problems.append((path, f"Invalid value at '{path}' (TYPE_ENUM), {json.dumps(value)[:60]}"))
        return value
    if isinstance(tree, list):
        if not isinstance(value, list):
            problems.append((path, f"Invalid value at '{path}', expected a list"))
            return []
        return [walk(tree[0], item, f"{path}[{i}]", problems) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        problems.append((path, f"Invalid value at '{path}', expected an object"))
        return {}
    if isinstance(tree, tuple):
        return {name: walk(tree[1], item, f"{path}.{name}", problems) for name, item in value.items()}
    return walk_object(tree, value, path, problems)


def walk_object(tree, value, path, problems):
    known = {}
    for name, item in value.items():
        canonical = name if name in tree else camel(name)
        if canonical not in tree:
            where = f' at \'{path}\'' if path else ""
            problems.append((path, f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'))
        elif canonical in known:
            problems.append((path, f"Invalid JSON payload received. Field '{canonical}' is set twice."))
        else:
            snake = re.sub(r"([A-Z])", lambda m: "_" + m.group(1).lower(), canonical)
            known[canonical] = walk(tree[canonical], item, f"{path}.{snake}" if path else snake, problems)
    return known


def no_duplicates(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def no_constants(name):
    raise ValueError(name)


def parse(body, tree):
    """Bytes to a request with canonical names, or Refused."""
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=no_duplicates, parse_constant=no_constants)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except ValueError as error:
        raise Refused(f"Invalid JSON payload received. {str(error)[:120]}") from error
    problems = []
    value = walk(tree, value, "", problems)
    if problems:
        raise Refused("\n".join(description for _, description in problems), problems)
    return value


# --- what the fields mean -----------------------------------------------------------------------------------------

@dataclass
class Received:
    """One image as it came, decoded."""
    mime: str
    data: bytes
    width: int
    height: int
    sha256: str            # of the pixels, as RGB
    level: str = ""

    def facts(self):
        return {"mimeType": self.mime, "width": self.width, "height": self.height, "sha256": self.sha256,
                "bytes": len(self.data)}


@dataclass
class Checked:
    """A request that Google would work on."""
    request: dict
    config: dict
    images: list = field(default_factory=list)
    prompts: list = field(default_factory=list)
    system: str = ""

    def schema(self):
        text = self.config.get("responseFormat", {}).get("text", {})
        return self.config.get("responseJsonSchema") or self.config.get("responseSchema") or text.get("schema")


def decode_image(blob, path):
    mime, data = blob.get("mimeType", ""), blob.get("data", "")
    if mime not in IMAGE_TYPES:
        raise Refused(f"Unsupported MIME type: {mime}")
    try:
        raw = base64.b64decode(data.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Refused(f"Invalid value at '{path}.inline_data.data' (TYPE_BYTES), Base64 decoding failed",
                      [(f"{path}.inline_data.data", "Base64 decoding failed")]) from error
    try:
        with Image.open(io.BytesIO(raw)) as image:
            if image.format != IMAGE_TYPES[mime]:
                raise Refused(f"Unable to process input image: it is {image.format}, declared {mime}.")
            pixels = image.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise Refused("Unable to process input image. Please retry or report in "
                      "https://developers.generativeai.google/guide/troubleshooting") from error
    return Received(mime, raw, *pixels.size, hashlib.sha256(pixels.tobytes()).hexdigest())


def check_part(part, path, checked):
    data = [name for name in PART if name in part and name not in
            ("thought", "thoughtSignature", "videoMetadata", "partMetadata", "mediaResolution")]
    if len(data) != 1:
        raise Refused(f"* GenerateContentRequest.{path}.data: required oneof field 'data' must have one initialized field")
    if "text" in part:
        checked.prompts.append(part["text"])
    elif "inlineData" in part:
        if checked.prompts:
            raise Refused(f"{path}: the image must stand before the prompt text (rule of this double)")
        image = decode_image(part["inlineData"], path)
        image.level = part.get("mediaResolution", {}).get("level", "")
        checked.images.append(image)
    else:
        raise Refused(f"{path}: this double takes text and inlineData, not {data[0]}")


def check_contents(request, checked):
    contents = request.get("contents")
    if not contents:
        raise Refused("* GenerateContentRequest.contents: contents is not specified")
    for i, content in enumerate(contents):
        if content.get("role", "user") not in ("user", "model"):
            raise Refused("Please use a valid role: user, model.")
        if not content.get("parts"):
            raise Refused(f"* GenerateContentRequest.contents[{i}].parts: contents.parts must not be empty.")
        for j, part in enumerate(content["parts"]):
            check_part(part, f"contents[{i}].parts[{j}]", checked)
    if "role" not in contents[-1]:
        raise Refused("contents: the role is missing (rule of this double)")
    if contents[-1]["role"] != "user":
        raise Refused("Requests ending with a model turn are not supported by this model.")


def check_system(request, checked):
    system = request.get("systemInstruction")
    if system is None:
        return
    parts = system.get("parts", [])
    if not parts or any(set(part) != {"text"} for part in parts):
        raise Refused("* GenerateContentRequest.system_instruction: only text parts are supported.")
    checked.system = "".join(part["text"] for part in parts)


def check_json_schema(schema, path="response_json_schema"):
    """Not a whole validator: what is there must be a schema; keywords it does not know Gemini ignores."""
    if not isinstance(schema, dict):
        raise Refused(f"Invalid value at 'generation_config.{path}': a schema is an object")
    types = schema.get("type", [])
    for name in types if isinstance(types, list) else [types]:
        if not isinstance(name, str) or name.lower() not in SCHEMA_TYPES:
            raise Refused(f"Invalid value at 'generation_config.{path}.type', {json.dumps(name)}")
    properties = schema.get("properties", {})
    missing = [name for name in schema.get("required", []) if name not in properties]
    if missing:
        raise Refused(f"* GenerateContentRequest.generation_config.{path}.required[0]: property is not defined: {missing[0]}")
    for name, child in properties.items():
        check_json_schema(child, f"{path}.properties[{name}]")
    if types == "array" and "items" not in schema and "prefixItems" not in schema:
        raise Refused(f"* GenerateContentRequest.generation_config.{path}.items: missing field.")
    if "items" in schema:
        check_json_schema(schema["items"], f"{path}.items")


def check_output(config):
    schemas = [name for name in ("responseSchema", "responseJsonSchema", "responseFormat") if name in config]
    if len(schemas) > 1:
        raise Refused(f"Only one of {' and '.join(schemas)} can be set.")
    mime = config.get("responseMimeType", "text/plain")
    if mime not in ("text/plain", "application/json", "text/x.enum"):
        raise Refused(f"* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are `text/plain`, "
                      f"`application/json`, `application/xml`, `application/yaml` and `text/x.enum`, not {mime}.")
    if schemas and schemas[0] != "responseFormat" and mime != "application/json":
        raise Refused(f"Response schema is not supported with response mime type: '{mime}'")
    if "responseJsonSchema" in config:
        check_json_schema(config["responseJsonSchema"])
    if not 1 <= int(config.get("maxOutputTokens", 1)) <= MAX_OUTPUT_TOKENS:
        raise Refused(f"Unable to submit request because it has a maxOutputTokens value of {config['maxOutputTokens']} but "
                      f"the supported range is from 1 (inclusive) to {MAX_OUTPUT_TOKENS + 1} (exclusive).")


def check_model_fields(config, checked, model):
    """What one model takes and another does not."""
    old, new = generation(model) < 3, generation(model) >= 4
    thinking = config.get("thinkingConfig", {})
    level = thinking.get("thinkingLevel", "").upper()
    if "thinkingBudget" in thinking and level:
        raise Refused("You can only set only one of thinking budget and thinking level.")
    if level and old:
        raise Refused("Thinking level is not supported for this model.")
    if level == "MINIMAL" and (new or "3.8-flash" in model) or level == "XHIGH" and not new:
        raise Refused(f"Thinking level {level} is not supported for this model. Please retry with other thinking level.")
    if "thinkingBudget" in thinking and new:
        raise Refused("Thinking budget is not supported for this model. Please use thinking level.")
    if int(config.get("candidateCount", 1)) != 1:
        raise Refused("Multiple candidates is not enabled for this model")
    if new and ("presencePenalty" in config or "frequencyPenalty" in config):
        raise Refused("Penalty is not enabled for this model")
    if old and any(image.level for image in checked.images):
        raise Refused("media_resolution per part is not supported for this model.")


def generation(model):
    found = re.match(r"gemini-(\d+)", model)
    return int(found.group(1)) if found else 3


def check(request, model):
    """The request's meaning; raises Refused."""
    config = request.get("generationConfig", {})
    checked = Checked(request, config)
    check_contents(request, checked)
    check_system(request, checked)
    check_output(config)
    check_model_fields(config, checked, model)
    return checked
