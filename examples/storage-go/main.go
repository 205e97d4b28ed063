// A storage server for Bilancia. See README.md.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "bilancia.example/storage-go/gen/bilancia/v1"
)

const grace = 5 * time.Second

// service is `bilancia.v1.Storage` without `WatchLoad`, which the embedded type answers with UNIMPLEMENTED.
type service struct {
	pb.UnimplementedStorageServer
	store      *store
	load       *load
	name       string
	instanceID string
}

func (s *service) Save(stream grpc.BidiStreamingServer[pb.SaveRequest, pb.SaveResponse]) error {
	session := &session{store: s.store, load: s.load}
	defer session.drop()
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		results, problem := session.take(request)
		if len(results) > 0 {
			if err := stream.Send(&pb.SaveResponse{Results: results, Overloaded: s.load.overloaded()}); err != nil {
				return err
			}
		}
		if problem != nil {
			return statusOf(problem)
		}
	}
}

func (s *service) Load(context.Context, *pb.LoadRequest) (*pb.LoadResponse, error) {
	inProgress := uint32(s.load.inProgress())
	response := &pb.LoadResponse{
		Overloaded:    s.load.overloaded(),
		InFlightFiles: &inProgress,
		Capabilities:  []pb.Capability{pb.Capability_CAPABILITY_STAT, pb.Capability_CAPABILITY_DISCARD},
		InstanceId:    s.instanceID,
		ServerName:    s.name,
	}
	if response.Overloaded {
		response.Causes = []pb.OverloadCause{pb.OverloadCause_OVERLOAD_CAUSE_IN_FLIGHT_FILES}
	}
	var disk syscall.Statfs_t
	if syscall.Statfs(s.store.dir, &disk) == nil {
		free, total := disk.Bavail*uint64(disk.Bsize), disk.Blocks*uint64(disk.Bsize)
		response.FreeDiskBytes, response.TotalDiskBytes = &free, &total
	}
	return response, nil
}

func (s *service) Stat(_ context.Context, r *pb.StatRequest) (*pb.StatResponse, error) {
	if problem := idProblem(r.Origin, r.RequestNumber); problem != "" {
		return nil, status.Error(codes.InvalidArgument, problem)
	}
	file, err := s.store.stat(r.Origin, r.RequestNumber)
	if err != nil {
		return nil, statusOf(err)
	}
	if file == nil {
		return &pb.StatResponse{Holding: pb.Holding_HOLDING_NONE}, nil
	}
	return &pb.StatResponse{Holding: pb.Holding_HOLDING_STORED, File: file}, nil
}

func (s *service) Discard(_ context.Context, r *pb.DiscardRequest) (*pb.DiscardResponse, error) {
	for _, problem := range []string{idProblem(r.Origin, r.RequestNumber), uploadIDProblem(r.UploadId)} {
		if problem != "" {
			return nil, status.Error(codes.InvalidArgument, problem)
		}
	}
	discarded, err := s.store.discard(r)
	if err != nil {
		return nil, statusOf(err)
	}
	return &pb.DiscardResponse{Discarded: discarded}, nil
}

// statusOf tells the caller what it did wrong, and nothing of the server's insides.
func statusOf(err error) error {
	if problem := (violation{}); errors.As(err, &problem) {
		return status.Error(codes.InvalidArgument, problem.Error())
	}
	if errors.Is(err, errNotYours) {
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	log.Printf("failed: %v", err)
	return status.Error(codes.Internal, "the server failed")
}

func main() {
	listen := flag.String("listen", "127.0.0.1:50061", "host:port")
	dir := flag.String("dir", "data", "where files come to lie")
	name := flag.String("name", "storage-go", "its name, for people")
	overloadFiles := flag.Int("overload-files", 1000, "files in progress that make it overloaded")
	busyFiles := flag.Int("busy-files", 2000, "files in progress from which on it answers busy")
	flag.Parse()

	store, err := openStore(*dir)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(1024 * 1024))
	counts := &load{overloadFiles: *overloadFiles, busyFiles: *busyFiles}
	pb.RegisterStorageServer(server, &service{store: store, load: counts, name: *name, instanceID: rand.Text()})
	healthServer := health.NewServer()
	healthServer.SetServingStatus(pb.Storage_ServiceDesc.ServiceName, healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(server, healthServer)

	signals, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-signals.Done()
		healthServer.Shutdown()
		// The balancer's streams stay open for days: after the grace time they are cut.
		time.AfterFunc(grace, server.Stop)
		server.GracefulStop()
	}()
	log.Printf("listening on %s", listener.Addr())
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
