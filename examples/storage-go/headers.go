package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	pb "bilancia.example/storage-go/gen/bilancia/v1"
)

const sha256Bytes = 32

var (
	originPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)
	uuidPattern   = regexp.MustCompile(`(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	devicePattern = regexp.MustCompile(`(?is)^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?$`)
)

// Marks that reorder text on a screen (UAX #9), and the two line separators that are no control characters.
const reordering = "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

// refusal is why a file is not stored; its sender can read it.
type refusal struct {
	reason  pb.RefuseReason
	message string
}

func (r *refusal) Error() string { return r.message }

func refuse(reason pb.RefuseReason, format string, args ...any) *refusal {
	return &refusal{reason, fmt.Sprintf(format, args...)}
}

// checkHeader says which rule of storage.proto a header breaks.
func checkHeader(h *pb.SaveHeader) *refusal {
	if problem := headerProblem(h); problem != "" {
		return refuse(pb.RefuseReason_REFUSE_REASON_INVALID_HEADER, "%s", problem)
	}
	if problem := nameProblem(h.Name); problem != "" {
		return refuse(pb.RefuseReason_REFUSE_REASON_INVALID_NAME, "the name %.60q %s", h.Name, problem)
	}
	return nil
}

// idProblem says what is wrong with the identity of a file, or "".
func idProblem(origin string, number uint64) string {
	if !originPattern.MatchString(origin) {
		return fmt.Sprintf("origin is %.60q; expected 32 lowercase hexadecimal digits", origin)
	}
	if number < 1 {
		return "request_number is 0; expected a number from 1 on"
	}
	return ""
}

func uploadIDProblem(id string) string {
	if uuidPattern.MatchString(id) {
		return ""
	}
	return fmt.Sprintf("upload_id is %.60q; expected a UUID", id)
}

func headerProblem(h *pb.SaveHeader) string {
	if problem := idProblem(h.Origin, h.RequestNumber); problem != "" {
		return problem
	}
	if problem := uploadIDProblem(h.UploadId); problem != "" {
		return problem
	}
	_, knownKind := pb.Kind_name[int32(h.Kind)]
	switch {
	case h.Attempt < 1:
		return "attempt is 0; expected a number from 1 on"
	case h.Sha256 != nil && len(h.Sha256) != sha256Bytes:
		return fmt.Sprintf("sha256 has %d bytes; expected %d", len(h.Sha256), sha256Bytes)
	case len(h.ContentType) > 128:
		return fmt.Sprintf("content_type has %d bytes; expected at most 128", len(h.ContentType))
	case !knownKind:
		return fmt.Sprintf("kind is %d; expected KIND_TEXT_DOCUMENT (1) or KIND_BINARY (2)", h.Kind)
	case len(h.Labels) > 16:
		return fmt.Sprintf("there are %d labels; expected at most 16", len(h.Labels))
	}
	for key, value := range h.Labels {
		if len(key) < 1 || len(key) > 64 || len(value) > 256 {
			return fmt.Sprintf("the label %.60q is too long; expected a key of 1 to 64 bytes and a value of at most 256", key)
		}
	}
	return ""
}

func nameProblem(name string) string {
	switch {
	case len(name) < 1 || len(name) > 200:
		return fmt.Sprintf("has %d bytes of UTF-8; expected 1 to 200", len(name))
	case strings.ContainsAny(name, `/\`):
		return "contains a path separator"
	case strings.ContainsFunc(name, unicode.IsControl) || strings.ContainsAny(name, reordering):
		return "contains a control character or one that reorders text"
	case name[0] == '.' || name[0] == '-':
		return "begins with a dot or a hyphen"
	case devicePattern.MatchString(name):
		return "is a device name on Windows"
	case !norm.NFC.IsNormalString(name):
		return "is not in Unicode normal form C (NFC)"
	}
	return ""
}

// countLetters counts what a text document's content has.
func countLetters(data []byte) (*pb.TextStats, *refusal) {
	var document map[string]json.RawMessage
	if !utf8.Valid(data) || json.Unmarshal(data, &document) != nil {
		return nil, refuse(pb.RefuseReason_REFUSE_REASON_NOT_A_TEXT_DOCUMENT, "not a text document: it is no JSON object in UTF-8")
	}
	_, hasTitle := stringField(document, "title", "titolo")
	content, hasContent := stringField(document, "content", "contenuto")
	if !hasTitle || !hasContent {
		return nil, refuse(pb.RefuseReason_REFUSE_REASON_NOT_A_TEXT_DOCUMENT, `not a text document: the strings "title" and "content" are not both there`)
	}
	letters := strings.Count(content, "a") + strings.Count(content, "A")
	return &pb.TextStats{LettersA: uint64(letters), Characters: uint64(utf8.RuneCountInString(content))}, nil
}

func stringField(document map[string]json.RawMessage, names ...string) (string, bool) {
	for _, name := range names {
		if raw, ok := document[name]; ok {
			var text string
			isString := raw[0] == '"' && json.Unmarshal(raw, &text) == nil
			return text, isString
		}
	}
	return "", false
}
