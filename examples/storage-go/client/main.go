// Sends files to a Bilancia balancer: client HOST:PORT FILE...
package main

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "bilancia.example/storage-go/gen/bilancia/v1"
)

// upload sends a file on a stream of its own and waits for its receipt. An error is worth another try.
func upload(balancer pb.BalancerClient, id, path string) (*pb.Receipt, error) {
	file, err := os.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := balancer.UploadFile(ctx)
	if err != nil {
		return nil, err
	}
	part := &pb.UploadPart{Header: &pb.UploadHeader{UploadId: id, Name: filepath.Base(path), Kind: pb.Kind_KIND_BINARY}}
	for err == nil && part.Finish == nil { // Why sending fails is told by Recv.
		data := make([]byte, 256*1024)
		n, readErr := io.ReadFull(file, data)
		sum := crc32.Checksum(data[:n], crc32.MakeTable(crc32.Castagnoli))
		part.Data, part.Crc32C = data[:n], &sum
		if size := part.Offset + uint64(n); readErr == io.EOF || readErr == io.ErrUnexpectedEOF {
			part.Finish = &pb.Finish{SizeBytes: &size}
		} else if readErr != nil {
			log.Fatal(readErr)
		}
		err = stream.Send(&pb.UploadFileRequest{Parts: []*pb.UploadPart{part}})
		part = &pb.UploadPart{Offset: part.Offset + uint64(n), Finish: part.Finish}
	}
	stream.CloseSend()
	for {
		response, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		for _, event := range response.Events {
			switch rejected := event.GetRejected(); {
			case event.GetStored() != nil:
				return event.GetStored().Receipt, nil
			case rejected.GetRetryable():
				return nil, fmt.Errorf("rejected for now: %s", rejected.Message)
			case rejected != nil:
				log.Fatalf("%s: %s", path, rejected.Message)
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
	for _, path := range os.Args[2:] {
		id := uuid.NewString() // The same for every try: nothing is stored twice.
		receipt, err := upload(pb.NewBalancerClient(connection), id, path)
		for wait := time.Second; err != nil && wait < 16*time.Second; wait *= 2 {
			time.Sleep(wait)
			receipt, err = upload(pb.NewBalancerClient(connection), id, path)
		}
		if err != nil {
			log.Fatalf("%s: %v", path, err)
		}
		fmt.Printf("%s: stored on %s\n", path, receipt.Server)
	}
}
