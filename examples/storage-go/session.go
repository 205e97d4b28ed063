package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"syscall"

	pb "bilancia.example/storage-go/gen/bilancia/v1"
)

const (
	maxPartBytes     = 256 * 1024
	maxParts         = 64
	maxDocumentBytes = 16 * 1024 * 1024
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// violation is a breach of the protocol: the stream ends with it.
type violation struct{ error }

func violate(format string, args ...any) error { return violation{fmt.Errorf(format, args...)} }

// incoming is a file that is arriving.
type incoming struct {
	header   *pb.SaveHeader
	file     *os.File
	hash     hash.Hash
	received uint64
}

// session is one `Save` stream: tells its parts apart and gives whole files to the store.
type session struct {
	store   *store
	load    *load
	current *incoming
	// The file last begun has been answered: the rest of it is not looked at.
	skipping bool
	whole    []*draft
	results  []*pb.SaveResult
}

// take returns the answers to one message. They are to be sent also where there is an error; the stream ends then.
func (s *session) take(request *pb.SaveRequest) ([]*pb.SaveResult, error) {
	s.results = nil
	var err error
	if count := len(request.Parts); count < 1 || count > maxParts {
		err = violate("a message has %d parts; expected 1 to %d", count, maxParts)
	}
	for _, part := range request.Parts {
		if err == nil {
			err = s.takePart(part)
		}
	}
	// Also after a breach of the protocol: the files before it are whole.
	if failure := s.saveWhole(); failure != nil {
		err = failure
	}
	return s.results, err
}

// drop forgets a file that is not whole: its stream has ended.
func (s *session) drop() {
	if s.current != nil {
		s.release(s.current.file)
		s.current = nil
	}
}

func (s *session) takePart(part *pb.SavePart) error {
	if len(part.Data) > maxPartBytes {
		return violate("a part has %d bytes of data; expected at most %d", len(part.Data), maxPartBytes)
	}
	if part.Header == nil && s.current == nil {
		if s.skipping {
			return nil
		}
		return violate("data came before a header")
	}
	if part.Header != nil && s.current != nil {
		return violate("a header came before the finish of the file before it")
	}
	var expected uint64
	if s.current != nil {
		expected = s.current.received
	}
	if part.Offset != expected {
		return violate("a part has offset %d; expected %d", part.Offset, expected)
	}
	if part.Header != nil {
		isBegun, err := s.begin(part.Header)
		if err != nil || !isBegun {
			return err
		}
	}
	number := s.current.header.RequestNumber
	if refused := s.current.take(part); refused != nil {
		s.refuse(number, refused)
		return nil
	}
	if part.Finish == nil {
		if part.Header != nil {
			s.answer(&pb.SaveResult{RequestNumber: number, Outcome: &pb.SaveResult_Accept{Accept: &pb.SaveAccept{}}})
		}
		return nil
	}
	draft, refused := s.current.finish(part.Finish)
	if refused != nil {
		s.refuse(number, refused)
		return nil
	}
	s.whole = append(s.whole, draft)
	s.current = nil
	return nil
}

// begin begins a file, unless it is answered already.
func (s *session) begin(header *pb.SaveHeader) (bool, error) {
	s.skipping = true
	number := header.RequestNumber
	if !s.load.begin() {
		s.answer(&pb.SaveResult{RequestNumber: number, Outcome: &pb.SaveResult_Busy{Busy: &pb.SaveBusy{}}})
		return false, nil
	}
	refused := checkHeader(header)
	var err error
	if refused == nil {
		refused, err = s.store.begin(header)
	}
	var file *os.File
	if refused == nil && err == nil {
		if file, err = s.store.createTemp(); err != nil {
			refused, err = writeProblem(err), nil
		}
	}
	if refused != nil || err != nil {
		s.load.end()
		if refused != nil {
			s.refuse(number, refused)
		}
		return false, err
	}
	s.skipping = false
	s.current = &incoming{header: header, file: file, hash: sha256.New()}
	return true, nil
}

func (in *incoming) take(part *pb.SavePart) *refusal {
	if part.Crc32C != nil && *part.Crc32C != crc32.Checksum(part.Data, castagnoli) {
		return refuse(pb.RefuseReason_REFUSE_REASON_CHECKSUM_MISMATCH, "the CRC-32C at offset %d differs", part.Offset)
	}
	in.hash.Write(part.Data)
	in.received += uint64(len(part.Data))
	if _, err := in.file.Write(part.Data); err != nil {
		return writeProblem(err)
	}
	return nil
}

func (in *incoming) finish(finish *pb.Finish) (*draft, *refusal) {
	sum := in.hash.Sum(nil)
	if finish.Sha256 != nil && len(finish.Sha256) != sha256Bytes {
		return nil, refuse(pb.RefuseReason_REFUSE_REASON_INVALID_HEADER, "sha256 in finish has %d bytes; expected %d", len(finish.Sha256), sha256Bytes)
	}
	for _, said := range []*uint64{in.header.SizeBytes, finish.SizeBytes} {
		if said != nil && *said != in.received {
			return nil, refuse(pb.RefuseReason_REFUSE_REASON_SIZE_MISMATCH, "%d bytes came; %d were announced", in.received, *said)
		}
	}
	for _, said := range [][]byte{in.header.Sha256, finish.Sha256} {
		if said != nil && !bytes.Equal(said, sum) {
			return nil, refuse(pb.RefuseReason_REFUSE_REASON_DIGEST_MISMATCH, "SHA-256 is %x; %x was announced", sum, said)
		}
	}
	d := &draft{header: in.header, file: in.file, sizeBytes: in.received, sha256: sum}
	if in.header.Kind != pb.Kind_KIND_TEXT_DOCUMENT {
		return d, nil
	}
	if in.received > maxDocumentBytes {
		return nil, refuse(pb.RefuseReason_REFUSE_REASON_TOO_LARGE, "a document has at most %d bytes", maxDocumentBytes)
	}
	data, err := io.ReadAll(io.NewSectionReader(in.file, 0, int64(in.received)))
	if err != nil {
		return nil, writeProblem(err)
	}
	var refused *refusal
	d.stats, refused = countLetters(data)
	return d, refused
}

// saveWhole stores what has become whole with this message.
func (s *session) saveWhole() error {
	drafts := s.whole
	s.whole = nil
	if len(drafts) == 0 {
		return nil
	}
	outcomes, err := s.store.saveAll(drafts)
	for i, d := range drafts {
		s.release(d.file)
		if err != nil {
			continue
		}
		number := d.header.RequestNumber
		if refused := outcomes[i].refusal; refused != nil {
			s.answer(refusedResult(number, refused))
		} else {
			s.answer(&pb.SaveResult{RequestNumber: number, Outcome: &pb.SaveResult_Saved{Saved: outcomes[i].saved}})
		}
	}
	return err
}

// refuse answers the file last begun, and skips the rest of it.
func (s *session) refuse(number uint64, refused *refusal) {
	s.skipping = true
	s.drop()
	s.answer(refusedResult(number, refused))
}

func (s *session) answer(result *pb.SaveResult) { s.results = append(s.results, result) }

// release lets go of a file's temp file: by now it has its final name, or is not wanted.
func (s *session) release(file *os.File) {
	file.Close()
	os.Remove(file.Name())
	s.load.end()
}

func refusedResult(number uint64, refused *refusal) *pb.SaveResult {
	answer := &pb.SaveRefused{Reason: refused.reason, Message: refused.message}
	return &pb.SaveResult{RequestNumber: number, Outcome: &pb.SaveResult_Refused{Refused: answer}}
}

func writeProblem(err error) *refusal {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return refuse(pb.RefuseReason_REFUSE_REASON_NO_SPACE, "the disk is full")
	}
	return refuse(pb.RefuseReason_REFUSE_REASON_INTERNAL, "the file could not be written")
}
