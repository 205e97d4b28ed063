// Sends files to a Bilancia balancer: client HOST:PORT FILE...
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "bilancia.example/storage-go/gen/bilancia/v1"
)

func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // version 4 (RFC 9562)
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// sendFile sends one file, a part to a message.
func sendFile(stream grpc.BidiStreamingClient[pb.UploadFileRequest, pb.UploadFileResponse], id, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	part := &pb.UploadPart{Header: &pb.UploadHeader{UploadId: id, Name: filepath.Base(path), Kind: pb.Kind_KIND_BINARY}}
	var offset uint64
	for {
		if err := stream.Send(&pb.UploadFileRequest{Parts: []*pb.UploadPart{part}}); err != nil || part.Finish != nil {
			return err
		}
		data := make([]byte, 256*1024)
		n, err := io.ReadFull(file, data)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		sum := crc32.Checksum(data[:n], crc32.MakeTable(crc32.Castagnoli))
		part = &pb.UploadPart{Offset: offset, Data: data[:n], Crc32C: &sum}
		if offset += uint64(n); n < len(data) {
			part.Finish = &pb.Finish{SizeBytes: &offset}
		}
	}
}

// upload sends files on one stream, and takes out of pending what has come to its end.
func upload(balancer pb.BalancerClient, pending map[string]string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := balancer.UploadFile(ctx)
	if err != nil {
		return err
	}
	files := map[string]string{}
	for id, path := range pending {
		files[id] = path
	}
	go func() {
		for id, path := range files {
			if err := sendFile(stream, id, path); err != nil && !errors.Is(err, io.EOF) {
				log.Fatal(err)
			}
		}
		stream.CloseSend()
	}()
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		for _, event := range response.Events {
			if stored := event.GetStored(); stored != nil {
				fmt.Printf("%s: stored on %s\n", files[event.UploadId], stored.Receipt.Server)
				delete(pending, event.UploadId)
			} else if rejected := event.GetRejected(); rejected != nil && !rejected.Retryable {
				log.Fatalf("%s: rejected, %s", files[event.UploadId], rejected.Message)
			}
		}
	}
}

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: client HOST:PORT FILE...")
	}
	connection, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	pending := map[string]string{}
	for _, path := range os.Args[2:] {
		pending[newUUID()] = path
	}
	// The same ids again after a break: nothing is stored twice.
	for wait := time.Second; len(pending) > 0 && wait < 32*time.Second; wait *= 2 {
		if err := upload(pb.NewBalancerClient(connection), pending); !errors.Is(err, io.EOF) {
			log.Print(err)
			time.Sleep(wait)
		}
	}
	if len(pending) > 0 {
		os.Exit(1)
	}
}
