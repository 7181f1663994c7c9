package peer;

import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.StringJoiner;
import org.apache.axiom.om.OMElement;
import org.apache.axis2.AxisFault;
import org.apache.axis2.addressing.AddressingConstants;
import org.apache.axis2.addressing.EndpointReference;
import org.apache.axis2.client.Options;
import org.apache.axis2.client.ServiceClient;
import org.apache.axis2.context.ConfigurationContext;
import org.apache.neethi.PolicyEngine;

/** A Rampart client for any server: policy and address come from the WSDL unless given. */
final class Client {
    private Client() {
    }

    static void run(Map<String, String> o) throws Exception {
        Path pki = Path.of(o.get("pki")).toAbsolutePath();
        System.setProperty("javax.net.ssl.trustStore", pki.resolve("trust.p12").toString());
        System.setProperty("javax.net.ssl.trustStorePassword", "changeit");
        System.setProperty("javax.net.ssl.trustStoreType", "PKCS12");
        Passwords.user = o.getOrDefault("password", "secret");

        String wsdl = o.containsKey("wsdl") ? read(o.get("wsdl")) : "";
        String address = o.containsKey("endpoint") ? o.get("endpoint") : Policies.address(wsdl);
        String policy = o.containsKey("policy") ? Files.readString(Path.of(o.get("policy"))) : Policies.fromWsdl(wsdl);
        policy = Policies.configured(policy, pki, o.getOrDefault("username", "client"), o.getOrDefault("certificate", "client"), "server");

        ConfigurationContext context = new Repository().open();
        ServiceClient client = new ServiceClient(context, null);
        client.engageModule("addressing");
        client.engageModule("rampart");
        Options options = client.getOptions();
        options.setTo(new EndpointReference(address));
        options.setTimeOutInMilliSeconds(60000);
        if (o.getOrDefault("soap", "1.1").equals("1.2")) {
            options.setSoapVersionURI("http://www.w3.org/2003/05/soap-envelope");
        }
        // Rampart's default here is the submission of 2004/08
        options.setProperty(AddressingConstants.WS_ADDRESSING_VERSION, o.getOrDefault("wsa", AddressingConstants.Final.WSA_NAMESPACE));
        if (o.containsKey("username")) {
            options.setUserName(o.get("username"));
            options.setPassword(Passwords.user);
        }
        client.getServiceContext().setProperty("rampartPolicy",
            PolicyEngine.getPolicy(new ByteArrayInputStream(policy.getBytes(StandardCharsets.UTF_8))));

        if (o.containsKey("check")) {
            check(client, o);
        } else {
            measure(client, o);
        }
        context.terminate();
    }

    private interface Step {
        Object run() throws Exception;
    }

    /** Every operation, then the cancel; each step's result or what went wrong. */
    private static void check(ServiceClient client, Map<String, String> o) {
        Map<String, String> steps = new LinkedHashMap<>();
        int size = Integer.parseInt(o.getOrDefault("size", "100000"));
        boolean ok = step(steps, "echo1", () -> send(client, "echo", PeerService.element("echo", "text", "one")))
            & step(steps, "echo2", () -> send(client, "echo", PeerService.element("echo", "text", "two \u00e4\u20ac<&>")))
            & step(steps, "sum", () -> Integer.valueOf(send(client, "sum", PeerService.element("sum", "values", "1", "2", "39"))))
            & step(steps, "fail", () -> fail(client))
            & step(steps, "big", () -> send(client, "big", PeerService.element("big", "size", "" + size)).length())
            & step(steps, "whoami", () -> send(client, "whoami", PeerService.element("whoami", "x")));
        if (ok) {
            step(steps, "cancel", () -> {
                client.getOptions().setProperty("cancelrequest", "true");
                return send(client, "echo", PeerService.element("echo", "text", "cancel"));
            });
        }
        StringJoiner all = new StringJoiner(",");
        steps.forEach((name, result) -> all.add("\"" + name + "\":" + result));
        System.out.println("{\"stack\":\"rampart\",\"steps\":{" + all + "},\"ok\":" + ok + "}");
    }

    private static boolean step(Map<String, String> steps, String name, Step run) {
        Object result;
        boolean ok = true;
        try {
            result = run.run();
        } catch (Exception e) {
            ok = false;
            result = "FAILED " + describe(e);
        }
        steps.put(name, result instanceof Integer ? result.toString() : "\"" + json(String.valueOf(result)) + "\"");
        return ok;
    }

    static String describe(Throwable e) {
        StringBuilder out = new StringBuilder();
        for (Throwable t = e; t != null && out.length() < 600; t = t.getCause()) {
            out.append(out.isEmpty() ? "" : " <- ").append(t);
        }
        return out.toString();
    }

    static String json(String s) {
        return s.replace("\\", "\\\\").replace("\"", "\\\"").replaceAll("\\p{Cntrl}", " ");
    }

    private static void measure(ServiceClient client, Map<String, String> o) throws AxisFault {
        String op = o.getOrDefault("op", "echo");
        int calls = Integer.parseInt(o.getOrDefault("calls", "1"));
        int warmup = Integer.parseInt(o.getOrDefault("warmup", "0"));
        long begin = System.nanoTime();
        String answer = call(client, op, o);
        double first = (System.nanoTime() - begin) / 1e6;
        long start = System.currentTimeMillis() - Main.START;
        for (int i = 0; i < warmup; i++) {
            call(client, op, o);
        }
        double[] micros = new double[Math.max(0, calls - 1)];
        for (int i = 0; i < micros.length; i++) {
            long t = System.nanoTime();
            call(client, op, o);
            micros[i] = (System.nanoTime() - t) / 1e3;
        }
        if (o.containsKey("cancel")) {
            // the context is cancelled before the call is sent
            client.getOptions().setProperty("cancelrequest", "true");
            call(client, op, o);
        }
        Arrays.sort(micros);
        System.out.printf("{\"first_call_ms\":%.0f,\"jvm_start_to_first_response_ms\":%d,\"per_call_us\":%s,\"calls\":%d,\"answer\":\"%s\",\"ok\":true}%n",
            first, start, micros.length == 0 ? "null" : String.format("{\"min\":%.0f,\"median\":%.0f,\"p90\":%.0f}", micros[0],
                micros[micros.length / 2], micros[(int) (micros.length * 0.9)]), calls, answer);
    }

    private static String call(ServiceClient client, String op, Map<String, String> o) throws AxisFault {
        if (op.equals("fail")) {
            return fail(client);
        }
        String text = send(client, op, switch (op) {
            case "echo" -> PeerService.element("echo", "text", "x".repeat(Integer.parseInt(o.getOrDefault("size", "5"))));
            case "sum" -> PeerService.element("sum", "values", "1", "2", "39");
            case "big" -> PeerService.element("big", "size", o.getOrDefault("size", "1000"));
            default -> PeerService.element(op, "x");
        });
        return text.length() > 60 ? text.length() + " characters" : text;
    }

    private static String fail(ServiceClient client) throws AxisFault {
        try {
            send(client, "fail", PeerService.element("fail", "code", "E42"));
        } catch (AxisFault e) {
            if (e.getDetail() == null) {
                throw e;
            }
            OMElement fault = e.getDetail();
            return fault.getText() + fault.getFirstElement().getText();
        }
        throw new IllegalStateException("no fault");
    }

    private static String send(ServiceClient client, String op, OMElement in) throws AxisFault {
        client.getOptions().setAction(PeerService.NS + ":" + op);
        try {
            OMElement out = client.sendReceive(in);
            return out.getFirstElement() == null ? "" : out.getFirstElement().getText();
        } finally {
            client.cleanupTransport();
        }
    }

    private static String read(String place) throws Exception {
        if (!place.matches("https?:.*")) {
            return Files.readString(Path.of(place));
        }
        try (InputStream in = URI.create(place).toURL().openStream()) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
