package peer;

import com.sun.xml.ws.api.fastinfoset.FastInfosetFeature;
import jakarta.xml.ws.BindingProvider;
import jakarta.xml.ws.Service;
import jakarta.xml.ws.soap.SOAPFaultException;
import java.io.Closeable;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import javax.net.ssl.SSLContext;
import javax.xml.namespace.QName;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

final class Client {
    private static final String WSDL = "http://schemas.xmlsoap.org/wsdl/";

    private Client() { }

    static int run(Map<String, String> o, PrintStream out) throws Exception {
        Path pki = Path.of(o.getOrDefault("pki", "pki")).toAbsolutePath();
        SSLContext.setDefault(Tls.context(pki, o.getOrDefault("alias", "client")));
        javax.net.ssl.HttpsURLConnection.setDefaultSSLSocketFactory(SSLContext.getDefault().getSocketFactory());
        URL wsdl = o.get("wsdl").matches("https?:.*") ? URI.create(o.get("wsdl")).toURL() : Path.of(o.get("wsdl")).toUri().toURL();
        configure(wsdl, pki, o);
        Service service = Service.create(wsdl, new QName(Peer.NS, "PeerService"));
        // with reliable messaging the stack would switch to binary XML after the first answer
        Peer port = service.getPort(new QName(Peer.NS, o.getOrDefault("port-name", "PeerPort")), Peer.class, new FastInfosetFeature(false));
        Map<String, Object> context = ((BindingProvider) port).getRequestContext();
        if (o.containsKey("endpoint")) {
            context.put(BindingProvider.ENDPOINT_ADDRESS_PROPERTY, o.get("endpoint"));
        }
        context.put("com.sun.xml.ws.connect.timeout", 30000);
        context.put("com.sun.xml.ws.request.timeout", 60000);
        List<String> steps = new ArrayList<>();
        boolean ok = true;
        String timing = "";
        String error = "";
        try {
            String text = "x".repeat(o.containsKey("check") ? 20 : Integer.parseInt(o.getOrDefault("size", "20")));
            String op = o.getOrDefault("op", "echo");
            long start = System.nanoTime();
            if (o.containsKey("check")) {
                ok = check(port, Integer.parseInt(o.getOrDefault("size", "100000")), steps);
            } else {
                call(port, op, text);
            }
            double first = (System.nanoTime() - start) / 1e6;
            double jvm = System.currentTimeMillis() - ManagementFactory.getRuntimeMXBean().getStartTime();
            int warmup = Integer.parseInt(o.getOrDefault("warmup", "0"));
            for (int i = 0; i < warmup; i++) {
                call(port, op, text);
            }
            int calls = Integer.parseInt(o.getOrDefault("calls", o.containsKey("check") ? "0" : "1"));
            double[] us = new double[calls];
            for (int i = 0; i < calls; i++) {
                long t = System.nanoTime();
                call(port, op, text);
                us[i] = (System.nanoTime() - t) / 1e3;
            }
            Arrays.sort(us);
            timing = String.format(",\"first_call_ms\":%.1f,\"jvm_start_to_first_response_ms\":%.0f", first, jvm);
            if (calls > 0) {
                timing += String.format(",\"per_call_us\":{\"min\":%.0f,\"median\":%.0f,\"p90\":%.0f}", us[0], us[calls / 2], us[(int) (calls * 0.9)]);
            }
            timing += ",\"calls\":" + calls;
            if (o.containsKey("pause-ms")) {
                for (int i = 1; i <= Integer.parseInt(o.getOrDefault("pauses", "1")); i++) {
                    Thread.sleep(Long.parseLong(o.get("pause-ms")));
                    call(port, op, text);
                    call(port, op, text);
                    steps.add("\"after_pause" + i + "\":\"ok\"");
                }
            }
        } catch (Exception e) {
            ok = false;
            error = ",\"error\":\"" + json(describe(e)) + "\"";
            if (o.containsKey("verbose")) {
                e.printStackTrace();
            }
        }
        try {
            if (port instanceof Closeable c) {
                c.close();
                steps.add("\"close\":\"ok\"");
            }
        } catch (Exception e) {
            ok = false;
            steps.add("\"close\":\"" + json(describe(e)) + "\"");
        }
        out.println("{\"stack\":\"metro\"" + timing + ",\"steps\":{" + String.join(",", steps) + "}" + error + ",\"ok\":" + ok + "}");
        return ok ? 0 : 1;
    }

    private interface Step {
        Object run() throws Exception;
    }

    /** Every operation, each step's result or what went wrong. */
    private static boolean check(Peer port, int size, List<String> steps) {
        return step(steps, "echo1", () -> port.echo("one"))
            & step(steps, "echo2", () -> port.echo("two \u00e4\u20ac<&>"))
            & step(steps, "sum", () -> port.sum(List.of(1, 2, 39)))
            & step(steps, "fail", () -> fail(port))
            & step(steps, "big", () -> port.big(size).length())
            & step(steps, "whoami", port::whoami);
    }

    private static boolean step(List<String> steps, String name, Step run) {
        Object result;
        boolean ok = true;
        try {
            result = run.run();
        } catch (Exception e) {
            ok = false;
            result = "FAILED " + describe(e);
        }
        steps.add("\"" + name + "\":" + (result instanceof Integer ? result : "\"" + json(String.valueOf(result)) + "\""));
        return ok;
    }

    private static String fail(Peer port) {
        try {
            port.fail("E42");
        } catch (PeerFaultException e) {
            return e.getFaultInfo().code;
        }
        throw new IllegalStateException("no fault");
    }

    private static void call(Peer port, String op, String text) {
        boolean same = switch (op) {
            case "big" -> port.big(text.length()).length() == text.length();
            case "sum" -> port.sum(List.of(1, 2, 3)) == 6;
            default -> port.echo(text).equals(text);
        };
        if (!same) {
            throw new IllegalStateException("wrong answer");
        }
    }

    static String describe(Throwable e) {
        if (e instanceof SOAPFaultException f) {
            return "SOAPFault " + f.getFault().getFaultCodeAsQName() + " " + f.getFault().getFaultString();
        }
        StringBuilder out = new StringBuilder();
        for (Throwable t = e; t != null && out.length() < 600; t = t.getCause()) {
            out.append(out.isEmpty() ? "" : " <- ").append(t);
        }
        return out.toString();
    }

    static String json(String s) {
        return s.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", " ").replace("\r", " ");
    }

    /** The client's keys and options go into a META-INF/wsit-client.xml whose binding carries the WSDL's names. */
    private static void configure(URL wsdl, Path pki, Map<String, String> o) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        Document doc;
        try (InputStream in = wsdl.openStream()) {
            doc = factory.newDocumentBuilder().parse(in);
        }
        Element binding = (Element) doc.getElementsByTagNameNS(WSDL, "binding").item(0);
        Element service = (Element) doc.getElementsByTagNameNS(WSDL, "service").item(0);
        Element port = (Element) doc.getElementsByTagNameNS(WSDL, "port").item(0);
        Element type = (Element) doc.getElementsByTagNameNS(WSDL, "portType").item(0);
        String alias = o.getOrDefault("alias", "client");
        String hidden = "wspp:visibility=\"private\"";
        String user = o.containsKey("username") ? "<sc:CallbackHandlerConfiguration " + hidden + "><sc:CallbackHandler name=\"usernameHandler\" default=\""
            + o.get("username") + "\"/><sc:CallbackHandler name=\"passwordHandler\" default=\"" + o.getOrDefault("password", "secret")
            + "\"/></sc:CallbackHandlerConfiguration>" : "";
        String text = "<definitions xmlns=\"" + WSDL + "\" xmlns:tns=\"" + Peer.NS + "\" targetNamespace=\"" + Peer.NS + "\" name=\"client\""
            + " xmlns:wsp=\"http://www.w3.org/ns/ws-policy\" xmlns:wspp=\"http://java.sun.com/xml/ns/wsit/policy\""
            + " xmlns:wsu=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd\""
            + " xmlns:sc=\"http://schemas.sun.com/2006/03/wss/client\" xmlns:scc=\"http://schemas.sun.com/ws/2006/05/sc/client\">"
            + "<wsp:UsingPolicy/><wsp:Policy wsu:Id=\"Keys\"><wsp:ExactlyOne><wsp:All>"
            + "<sc:KeyStore " + hidden + " location=\"" + pki.resolve(alias + ".p12") + "\" type=\"PKCS12\" storepass=\"changeit\" alias=\"" + alias + "\"/>"
            + "<sc:TrustStore " + hidden + " location=\"" + pki.resolve("trust.p12") + "\" type=\"PKCS12\" storepass=\"changeit\" peeralias=\"server\"/>" + user
            + "<scc:SCClientConfiguration " + hidden + " renewExpiredSCT=\"" + o.containsKey("renew") + "\" requireCancelSCT=\"" + o.containsKey("cancel") + "\"/>"
            + "</wsp:All></wsp:ExactlyOne></wsp:Policy><portType name=\"" + type.getAttribute("name") + "\"/>"
            + "<binding name=\"" + binding.getAttribute("name") + "\" type=\"tns:" + type.getAttribute("name") + "\"><wsp:PolicyReference URI=\"#Keys\"/></binding>"
            + "<service name=\"" + service.getAttribute("name") + "\"><port name=\"" + port.getAttribute("name") + "\" binding=\"tns:" + binding.getAttribute("name")
            + "\"/></service></definitions>";
        Path folder = Files.createTempDirectory("peer");
        Path file = Files.createDirectories(folder.resolve("META-INF")).resolve("wsit-client.xml");
        Files.writeString(file, text);
        for (Path p : new Path[] {folder, file.getParent(), file}) {
            p.toFile().deleteOnExit();
        }
        Thread.currentThread().setContextClassLoader(new URLClassLoader(new URL[] {folder.toUri().toURL()}, Client.class.getClassLoader()));
    }
}
