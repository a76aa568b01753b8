// The rival: one claimant for a Lease on client-go's leader election, for the live suite to contend with.
//
// It prints one JSON line per event on stdout, with the time in unix seconds by the machine's clock:
//
//	{"event":"observed","time":1700000000.000001,"id":"rival","holder":"somebody"}
//	{"event":"acquired","time":1700000000.000002,"id":"rival","holder":"rival"}
//	{"event":"lost","time":1700000000.000003,"id":"rival","holder":"somebody"}
//
// observed: it has seen a new holder, so it is waiting unless that is itself. lost: it stops acting as holder, and
// on SIGTERM or SIGINT it says so before it releases. Exit code: 0 after a signal, 1 when the Lease was lost, 2 for
// bad flags or files. Everything else, client-go's log included, goes to stderr.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

type event struct {
	Event  string  `json:"event"`
	Time   float64 `json:"time"`
	ID     string  `json:"id"`
	Holder string  `json:"holder"`
}

// journal prints events in the order in which they become true. client-go calls back from several goroutines, so
// that "acquired" could otherwise be printed after "lost".
type journal struct {
	mutex   sync.Mutex
	id      string
	holder  string
	held    bool
	stopped bool
}

func (j *journal) print(name string) {
	now := float64(time.Now().UnixNano()/1000) / 1e6
	line, err := json.Marshal(event{Event: name, Time: now, ID: j.id, Holder: j.holder})
	if err == nil {
		_, err = fmt.Printf("%s\n", line)
	}
	if err != nil {
		fail(err)
	}
}

func (j *journal) observed(holder string) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.holder = holder
	if !j.stopped {
		j.print("observed")
	}
}

func (j *journal) acquired() {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	if j.stopped {
		return
	}
	j.held = true
	j.holder = j.id
	j.print("acquired")
}

// stop says "lost" once, if there was anything to lose.
func (j *journal) stop() {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	if j.held {
		j.held = false
		j.print("lost")
	}
	j.stopped = true
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "rival:", err)
	os.Exit(2)
}

func main() {
	server := flag.String("server", "", "URL of the API server")
	ca := flag.String("ca", "", "file with the CA's certificate")
	tokenFile := flag.String("token-file", "", "file with the bearer token")
	namespace := flag.String("namespace", "default", "namespace of the Lease")
	lease := flag.String("lease", "", "name of the Lease")
	id := flag.String("id", "rival", "holder identity")
	leaseDuration := flag.Duration("lease-duration", 15*time.Second, "client-go's LeaseDuration")
	renewDeadline := flag.Duration("renew-deadline", 10*time.Second, "client-go's RenewDeadline")
	retryPeriod := flag.Duration("retry-period", 2*time.Second, "client-go's RetryPeriod")
	flag.Parse()
	if *server == "" || *lease == "" || flag.NArg() > 0 {
		fail(fmt.Errorf("--server and --lease are needed, and nothing but flags"))
	}

	client, err := coordination.NewForConfig(&rest.Config{
		Host:            *server,
		BearerTokenFile: *tokenFile,
		TLSClientConfig: rest.TLSClientConfig{CAFile: *ca},
		// So that the audit log tells who asks, even when nothing is written.
		UserAgent: *id,
	})
	if err != nil {
		fail(err)
	}

	journal := &journal{id: *id}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: *namespace, Name: *lease},
			Client:     client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: *id},
		},
		LeaseDuration:   *leaseDuration,
		RenewDeadline:   *renewDeadline,
		RetryPeriod:     *retryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { journal.acquired() },
			OnStoppedLeading: journal.stop,
			OnNewLeader:      journal.observed,
		},
	})
	if err != nil {
		fail(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		// OnStoppedLeading comes only after the release, when a successor may hold the Lease already.
		journal.stop()
		cancel()
	}()

	elector.Run(ctx)
	if ctx.Err() == nil {
		os.Exit(1)
	}
}
