// approver decides about requests for serving certificates of kubelets: what a team's own approver looks like to
// certdrill's scenarios. It is no approver for production.
//
//	approver --look-at=name         approves whatever has its requestor's common name: the naive one
//	approver --look-at=everything   also wants every DNS name and IP address to be the node's
package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"log"
	"net"
	"slices"
	"strings"
	"time"

	certificates "k8s.io/api/certificates/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func main() {
	lookAt := flag.String("look-at", "everything", "what of a request is looked at: name or everything")
	flag.Parse()
	config, err := rest.InClusterConfig()
	if err != nil {
		log.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	// A watch that ends, whatever ended it, is followed by another one.
	for ; ; time.Sleep(time.Second) {
		if err := follow(context.Background(), client, *lookAt == "name"); err != nil {
			log.Print(err)
		}
	}
}

// follow decides about what is pending and about what comes, until the watch ends.
func follow(ctx context.Context, client kubernetes.Interface, naive bool) error {
	requests := client.CertificatesV1().CertificateSigningRequests()
	selector := fields.OneTermEqualSelector("spec.signerName", certificates.KubeletServingSignerName).String()
	list, err := requests.List(ctx, meta.ListOptions{FieldSelector: selector})
	if err != nil {
		return err
	}
	for i := range list.Items {
		if err := decide(ctx, client, &list.Items[i], naive); err != nil {
			return err
		}
	}
	watch, err := requests.Watch(ctx, meta.ListOptions{FieldSelector: selector, ResourceVersion: list.ResourceVersion})
	if err != nil {
		return err
	}
	defer watch.Stop()
	for event := range watch.ResultChan() {
		if request, ok := event.Object.(*certificates.CertificateSigningRequest); ok {
			if err := decide(ctx, client, request, naive); err != nil {
				return err
			}
		}
	}
	return nil
}

func decide(ctx context.Context, client kubernetes.Interface, request *certificates.CertificateSigningRequest, naive bool) error {
	if len(request.Status.Conditions) > 0 || len(request.Status.Certificate) > 0 {
		return nil
	}
	condition := certificates.CertificateSigningRequestCondition{
		Type: certificates.CertificateApproved, Reason: "Approved", Status: core.ConditionTrue,
		Message: "common name, DNS names and IP addresses are the node's",
	}
	if naive {
		condition.Message = "the common name is the requestor's"
	}
	if refusal := refuse(ctx, client, request, naive); refusal != "" {
		condition.Type, condition.Reason, condition.Message = certificates.CertificateDenied, "Denied", refusal
	}
	log.Printf("%s: %s: %s", request.Name, condition.Type, condition.Message)
	request.Status.Conditions = append(request.Status.Conditions, condition)
	_, err := client.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, request.Name, request, meta.UpdateOptions{})
	return err
}

// refuse gives the reason to deny a request, or nothing.
func refuse(ctx context.Context, client kubernetes.Interface, request *certificates.CertificateSigningRequest, naive bool) string {
	block, _ := pem.Decode(request.Spec.Request)
	if block == nil {
		return "the request is no PEM"
	}
	asked, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return err.Error()
	}
	name := asked.Subject.CommonName
	own, isNode := strings.CutPrefix(request.Spec.Username, "system:node:")
	switch {
	case !isNode:
		return fmt.Sprintf("the requestor %s is no node", request.Spec.Username)
	case name != request.Spec.Username:
		return fmt.Sprintf("the common name %s is not the requestor %s", name, request.Spec.Username)
	case naive:
		return ""
	}
	node, err := client.CoreV1().Nodes().Get(ctx, own, meta.GetOptions{})
	if err != nil {
		return fmt.Sprintf("there is no node %s", own)
	}
	names, addresses := []string{own}, []string{}
	for _, address := range node.Status.Addresses {
		switch address.Type {
		case core.NodeHostName, core.NodeInternalDNS, core.NodeExternalDNS:
			names = append(names, address.Address)
		case core.NodeInternalIP, core.NodeExternalIP:
			addresses = append(addresses, address.Address)
		}
	}
	for _, one := range asked.DNSNames {
		if !slices.Contains(names, one) {
			return fmt.Sprintf("the DNS name %s is not one of node %s", one, own)
		}
	}
	for _, one := range asked.IPAddresses {
		if !slices.ContainsFunc(addresses, func(known string) bool { return net.ParseIP(known).Equal(one) }) {
			return fmt.Sprintf("the IP address %s is not one of node %s", one, own)
		}
	}
	return ""
}
