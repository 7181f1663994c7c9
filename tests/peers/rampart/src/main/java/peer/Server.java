package peer;

import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;
import javax.servlet.DispatcherType;
import org.apache.axis2.context.ConfigurationContext;
import org.apache.axis2.transport.http.AxisServlet;
import org.apache.rahas.TokenStorage;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.SecureRequestCustomizer;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.servlet.FilterHolder;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;
import org.eclipse.jetty.util.ssl.SslContextFactory;

/** Every policy file as one Axis2 service behind AxisServlet. */
final class Server {
    private static final String[] OPERATIONS = {"echo", "sum", "fail", "big", "whoami"};

    private Server() {
    }

    static void run(Map<String, String> o) throws Exception {
        Path pki = Path.of(o.get("pki")).toAbsolutePath();
        Map<String, String> policies = new HashMap<>(Policies.all(o.get("policies")));
        if (o.containsKey("only")) {
            policies.keySet().retainAll(List.of(o.get("only").split(",")));
        }
        Repository repository = new Repository();
        for (Map.Entry<String, String> p : policies.entrySet()) {
            repository.write("services/" + p.getKey() + "/META-INF/services.xml", service(p.getKey(), p.getValue(), pki, o));
        }
        ConfigurationContext context = repository.open();
        Sessions sessions = new Sessions();
        context.setProperty(TokenStorage.TOKEN_STORAGE_KEY, sessions);

        org.eclipse.jetty.server.Server jetty = new org.eclipse.jetty.server.Server();
        ServerConnector http = new ServerConnector(jetty);
        http.setHost("127.0.0.1");
        http.setPort(Integer.parseInt(o.getOrDefault("port", "0")));
        jetty.addConnector(http);
        ServerConnector https = https(jetty, pki, Integer.parseInt(o.getOrDefault("https-port", "0")));
        jetty.addConnector(https);

        ServletContextHandler web = new ServletContextHandler();
        web.setContextPath("/");
        web.setAttribute(AxisServlet.CONFIGURATION_CONTEXT, context);
        web.addServlet(new ServletHolder(new AxisServlet()), "/services/*");
        Trace trace = new Trace(o.containsKey("trace") ? Path.of(o.get("trace")) : null, (request, name) -> {
            String policy = policies.get(name);
            return policy == null ? null : wsdl(policy, request.getRequestURL().toString());
        });
        web.addFilter(new FilterHolder(trace), "/*", EnumSet.of(DispatcherType.REQUEST));
        jetty.setHandler(web);
        jetty.start();

        HttpServer admin = admin(sessions, trace);
        StringJoiner endpoints = new StringJoiner(",");
        for (Map.Entry<String, String> p : policies.entrySet()) {
            String url = (p.getValue().contains("HttpsToken") ? "https://localhost:" + https.getLocalPort() : "http://127.0.0.1:" + http.getLocalPort())
                + "/services/" + p.getKey();
            endpoints.add("\"" + p.getKey() + "\":{\"url\":\"" + url + "\",\"wsdl\":\"" + url + "?wsdl\"}");
        }
        System.out.println("{\"ready\":true,\"stack\":\"Apache Axis2 + Rampart\",\"version\":\"" + version("rampart-core")
            + "\",\"axis2\":\"" + version("axis2-kernel") + "\",\"wss4j\":\"" + version("wss4j")
            + "\",\"admin\":\"http://127.0.0.1:" + admin.getAddress().getPort() + "\",\"endpoints\":{" + endpoints + "}}");
        System.out.flush();
        while (System.in.read() >= 0) {
            // until stdin closes
        }
        System.exit(0);
    }

    static String version(String artifact) {
        for (String entry : System.getProperty("java.class.path").split(java.io.File.pathSeparator)) {
            try (java.util.jar.JarFile jar = new java.util.jar.JarFile(entry)) {
                String path = jar.getManifest().getMainAttributes().getValue("Class-Path");
                java.util.regex.Matcher m = java.util.regex.Pattern.compile("lib/" + artifact + "[a-z-]*-([0-9][^ ]*)\\.jar").matcher(path == null ? "" : path);
                if (m.find()) {
                    return m.group(1);
                }
            } catch (java.io.IOException ignored) {
                // not a jar
            }
        }
        return "?";
    }

    private static ServerConnector https(org.eclipse.jetty.server.Server jetty, Path pki, int port) {
        SslContextFactory.Server ssl = new SslContextFactory.Server();
        ssl.setKeyStorePath(pki.resolve("server.p12").toString());
        ssl.setKeyStorePassword("changeit");
        ssl.setKeyStoreType("PKCS12");
        HttpConfiguration config = new HttpConfiguration();
        config.addCustomizer(new SecureRequestCustomizer(false));
        ServerConnector connector = new ServerConnector(jetty, ssl, new HttpConnectionFactory(config));
        connector.setHost("127.0.0.1");
        connector.setPort(port);
        return connector;
    }

    private static String service(String name, String policy, Path pki, Map<String, String> o) throws Exception {
        StringBuilder xml = new StringBuilder("<service name=\"" + name + "\">");
        for (String module : new String[] {"addressing", "rampart", "rahas"}) {
            xml.append("<module ref=\"" + module + "\"/>");
        }
        xml.append("<parameter name=\"ServiceClass\">" + PeerService.class.getName() + "</parameter>");
        for (String op : OPERATIONS) {
            xml.append("<operation name=\"" + op + "\"><messageReceiver class=\"org.apache.axis2.receivers.RawXMLINOutMessageReceiver\"/>"
                + "<actionMapping>" + PeerService.NS + ":" + op + "</actionMapping>"
                + "<outputActionMapping>" + PeerService.NS + ":" + op + "Response</outputActionMapping></operation>");
        }
        xml.append(Policies.configured(policy, pki, "server", "server", "useReqSigCert"));
        xml.append("<parameter name=\"sct-issuer-config\"><sct-issuer-config><cryptoProperties>" + Policies.crypto("", pki, "server")
            + "</cryptoProperties><addRequestedAttachedRef/><addRequestedUnattachedRef/>"
            + "<keyComputation>" + o.getOrDefault("key-computation", keyComputation(policy)) + "</keyComputation><proofKeyType>BinarySecret</proofKeyType>"
            + "</sct-issuer-config></parameter>"
            + "<parameter name=\"token-canceler-config\"><token-canceler-config/></parameter></service>");
        return xml.toString();
    }

    /** 1 the client's entropy is the key, 2 computed from both, 3 the server's own key; a comment in the policy file says which. */
    private static String keyComputation(String policy) {
        java.util.regex.Matcher m = java.util.regex.Pattern.compile("<!--\\s*keyComputation: (\\d)").matcher(policy);
        return m.find() ? m.group(1) : "3";
    }

    private static String wsdl(String policy, String address) {
        try {
            String id = policy.replaceFirst("(?s).*?wsu:Id=\"([^\"]*)\".*", "$1");
            return Repository.resource("service.wsdl").replace("${policy}", policy.replaceFirst("(?s)^<\\?xml.*?\\?>", ""))
                .replace("${policy-id}", id).replace("${address}", address);
        } catch (java.io.IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static HttpServer admin(Sessions sessions, Trace trace) throws Exception {
        HttpServer admin = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        admin.createContext("/", exchange -> {
            String answer;
            try {
                String path = exchange.getRequestURI().getPath();
                answer = switch (path) {
                    case "/stats" -> "{\"issued\":" + sessions.issued + ",\"renewed\":0,\"cancelled\":" + sessions.cancelled
                        + ",\"calls\":" + PeerService.CALLS + ",\"faults\":" + trace.faults + "}";
                    case "/sessions" -> sessions.json();
                    case "/forget" -> "{\"tokens\":" + sessions.forget() + "}";
                    case "/expire" -> "{\"tokens\":" + sessions.expire() + "}";
                    default -> null;
                };
            } catch (Exception e) {
                answer = null;
            }
            byte[] bytes = (answer == null ? "{\"ok\":false}" : answer).getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(answer == null ? 404 : 200, bytes.length);
            exchange.getResponseBody().write(bytes);
            exchange.close();
        });
        admin.start();
        return admin;
    }
}
