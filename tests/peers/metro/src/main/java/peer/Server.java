package peer;

import com.sun.net.httpserver.HttpContext;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import com.sun.xml.ws.api.server.LazyMOMProvider;
import jakarta.xml.ws.Endpoint;
import jakarta.xml.ws.soap.SOAPBinding;
import java.io.IOException;
import java.io.PrintStream;
import java.io.StringReader;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import javax.xml.namespace.QName;
import javax.xml.transform.stream.StreamSource;

final class Server {
    private Server() { }

    static void run(Map<String, String> o, PrintStream out) throws Exception {
        System.setProperty("sun.net.httpserver.nodelay", "true");
        Path pki = Path.of(o.getOrDefault("pki", "pki")).toAbsolutePath();
        Path trace = o.containsKey("trace") ? Files.createDirectories(Path.of(o.get("trace"))) : null;
        ExecutorService pool = Executors.newCachedThreadPool(r -> {
            Thread t = new Thread(r);
            t.setDaemon(true);
            return t;
        });
        InetAddress loopback = InetAddress.getByName("127.0.0.1");
        HttpServer http = HttpServer.create(new InetSocketAddress(loopback, Integer.parseInt(o.getOrDefault("port", "0"))), 0);
        HttpsServer https = HttpsServer.create(new InetSocketAddress(loopback, Integer.parseInt(o.getOrDefault("https-port", "0"))), 0);
        https.setHttpsConfigurator(new HttpsConfigurator(Tls.context(pki, "server")));
        http.setExecutor(pool);
        https.setExecutor(pool);

        // all endpoints carry the same service and port name, which the stack's JMX registration does not bear
        LazyMOMProvider.INSTANCE.initMOMForScope(LazyMOMProvider.Scope.GLASSFISH_NO_JMX);
        StringBuilder ready = new StringBuilder();
        for (Variant v : Variant.load(o.get("policies"), o.get("only"))) {
            HttpServer server = v.tls() ? https : http;
            String url = (v.tls() ? "https://localhost:" : "http://127.0.0.1:") + server.getAddress().getPort() + "/" + v.name();
            String wsdl = v.wsdl(url, config(pki, o));
            StreamSource source = new StreamSource(new StringReader(wsdl), "file:/" + v.name() + ".wsdl");
            Endpoint endpoint = Endpoint.create(v.soap12() ? SOAPBinding.SOAP12HTTP_BINDING : SOAPBinding.SOAP11HTTP_BINDING, new PeerImpl());
            endpoint.setMetadata(List.of(source));
            endpoint.setProperties(Map.of(Endpoint.WSDL_SERVICE, new QName(Peer.NS, "PeerService"), Endpoint.WSDL_PORT, new QName(Peer.NS, "PeerPort")));
            HttpContext context = server.createContext("/" + v.name());
            context.getFilters().add(new Trace(v.name(), trace));
            try {
                endpoint.publish(context);
            } catch (RuntimeException e) {
                System.err.println(v.name() + ": " + e);
                e.printStackTrace();
                server.removeContext(context);
                continue;
            }
            ready.append(ready.isEmpty() ? "" : ",").append("\"").append(v.name()).append("\":{\"url\":\"").append(url).append("\",\"wsdl\":\"").append(url).append("?wsdl\"}");
        }
        HttpServer admin = HttpServer.create(new InetSocketAddress(loopback, 0), 0);
        admin.createContext("/stats", x -> reply(x, Stats::json));
        admin.createContext("/sessions", x -> reply(x, () -> "[" + String.join(",", Sessions.list()) + "]"));
        admin.createContext("/forget", x -> reply(x, () -> "{\"tokens\":" + Sessions.forget() + "}"));
        admin.createContext("/expire", x -> reply(x, () -> "{\"tokens\":" + Sessions.expire() + "}"));
        admin.start();
        http.start();
        https.start();
        String version = String.valueOf(com.sun.xml.ws.util.RuntimeVersion.VERSION).replaceFirst("^.*?/", "").replaceFirst(" .*", "");
        out.println("{\"ready\":true,\"stack\":\"metro\",\"version\":\"" + version + "\",\"admin\":\"http://127.0.0.1:" + admin.getAddress().getPort()
            + "\",\"endpoints\":{" + ready + "}}");
        out.flush();
        while (System.in.read() >= 0) {
            continue;
        }
        System.exit(0);
    }

    /** The stack's private server assertions: keys, user check, context lifetime. */
    private static String config(Path pki, Map<String, String> o) {
        String wss = "xmlns:sc=\"http://schemas.sun.com/2006/03/wss/server\" xmlns:wspp=\"http://java.sun.com/xml/ns/wsit/policy\" wspp:visibility=\"private\"";
        String lifetime = o.containsKey("lifetime-ms")
            ? "<scs:SCConfiguration xmlns:scs=\"http://schemas.sun.com/ws/2006/05/sc/server\" xmlns:wspp=\"http://java.sun.com/xml/ns/wsit/policy\" wspp:visibility=\"private\"><scs:LifeTime>"
                + o.get("lifetime-ms") + "</scs:LifeTime></scs:SCConfiguration>" : "";
        return "<sc:KeyStore " + wss + " location=\"" + pki.resolve("server.p12") + "\" type=\"PKCS12\" storepass=\"changeit\" alias=\"server\"/>"
            + "<sc:TrustStore " + wss + " location=\"" + pki.resolve("trust.p12") + "\" type=\"PKCS12\" storepass=\"changeit\"/>"
            + "<sc:ValidatorConfiguration " + wss + "><sc:Validator name=\"usernameValidator\" classname=\"peer.UserValidator\"/></sc:ValidatorConfiguration>"
            + lifetime;
    }

    private static void reply(HttpExchange x, Callable<String> body) throws IOException {
        byte[] out;
        int status = 200;
        try {
            out = body.call().getBytes(StandardCharsets.UTF_8);
        } catch (Exception e) {
            status = 500;
            out = e.toString().getBytes(StandardCharsets.UTF_8);
        }
        x.getResponseHeaders().set("Content-Type", "application/json");
        x.sendResponseHeaders(status, out.length);
        x.getResponseBody().write(out);
        x.close();
    }
}
