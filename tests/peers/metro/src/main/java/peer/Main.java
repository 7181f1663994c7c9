package peer;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.logging.ConsoleHandler;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.Logger;

public final class Main {
    private static final Set<String> FLAGS = Set.of("cancel", "renew", "check", "verbose");

    private Main() { }

    public static void main(String[] argv) throws Exception {
        if (argv.length == 0) {
            System.err.println("usage: server|client|clients --option value ... (see README.md)");
            System.exit(2);
        }
        Map<String, String> options = options(argv, 1);
        Logger root = Logger.getLogger("");
        for (Handler h : root.getHandlers()) {
            if (h instanceof ConsoleHandler) {
                h.setLevel(Level.ALL);
            }
        }
        root.setLevel(options.containsKey("verbose") ? Level.INFO : Level.SEVERE);
        // the stack prints now and then; stdout is for our JSON lines only
        PrintStream out = System.out;
        System.setOut(System.err);
        switch (argv[0]) {
            case "server" -> Server.run(options, out);
            case "client" -> System.exit(Client.run(options, out));
            case "clients" -> many(options, out);
            default -> throw new IllegalArgumentException(argv[0]);
        }
    }

    private static Map<String, String> options(String[] argv, int from) {
        Map<String, String> options = new HashMap<>();
        for (int i = from; i < argv.length; i++) {
            String name = argv[i].substring(2);
            options.put(name, FLAGS.contains(name) ? "true" : argv[++i]);
        }
        return options;
    }

    /** One client after the other in this JVM: a line of arguments, apart by tabs, for each; a line of JSON answers it. */
    private static void many(Map<String, String> common, PrintStream out) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Map<String, String> options = new HashMap<>(common);
            options.putAll(options(line.split("\t"), 0));
            try {
                Client.run(options, out);
            } catch (Exception e) {
                out.println("{\"stack\":\"metro\",\"error\":\"" + Client.json(Client.describe(e)) + "\",\"ok\":false}");
            }
            out.flush();
        }
        System.exit(0);
    }
}
