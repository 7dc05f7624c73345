package oracle

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// network is a network namespace that is joined to this one by a cable: what runs
// in it reaches nothing but host, and nothing at all while the cable is pulled.
type network struct {
	name, cable string
	host        string // address at this end
}

// canJoin says whether network namespaces can be made here, and why not.
func canJoin() (bool, string) {
	for _, program := range []string{"ip", "nsenter", "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			return false, "install iproute2 and util-linux: no " + program
		}
	}
	if os.Geteuid() != 0 {
		return false, "run as root, in a container with CAP_NET_ADMIN and CAP_SYS_ADMIN"
	}
	name := fmt.Sprintf("slt%d", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		return false, "allow network namespaces: " + strings.TrimSpace(string(out))
	}
	exec.Command("ip", "netns", "del", name).Run()
	return true, ""
}

// joinNetwork makes a namespace that lasts as long as the test.
func joinNetwork(t testing.TB) *network {
	t.Helper()
	pid := os.Getpid()
	n := &network{name: fmt.Sprintf("sln%d", pid), cable: fmt.Sprintf("sla%d", pid)}
	far := fmt.Sprintf("slb%d", pid)
	net := fmt.Sprintf("10.231.%d", pid%256)
	n.host = net + ".1"
	run(t, "ip", "netns", "add", n.name)
	t.Cleanup(func() { exec.Command("ip", "netns", "del", n.name).Run() }) // and the cable with it
	run(t, "ip", "link", "add", n.cable, "type", "veth", "peer", "name", far, "netns", n.name)
	run(t, "ip", "addr", "add", n.host+"/24", "dev", n.cable)
	run(t, "ip", "link", "set", n.cable, "up")
	run(t, "ip", "-n", n.name, "addr", "add", net+".2/24", "dev", far)
	run(t, "ip", "-n", n.name, "link", "set", far, "up")
	run(t, "ip", "-n", n.name, "link", "set", "lo", "up")
	return n
}

// inside is a command line that runs args in the namespace, under their own pid.
func (n *network) inside(args ...string) []string {
	return append([]string{"nsenter", "--net=/var/run/netns/" + n.name}, args...)
}

// pull drops every packet without a word, until plug.
func (n *network) pull(t testing.TB) { run(t, "ip", "link", "set", n.cable, "down") }

// plug ends pull.
func (n *network) plug(t testing.TB) { run(t, "ip", "link", "set", n.cable, "up") }

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// smallDisk mounts a file system of that many bytes, as long as the test lasts.
func smallDisk(t testing.TB, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	run(t, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", bytes), "sightline-oracle", dir)
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	return dir
}
