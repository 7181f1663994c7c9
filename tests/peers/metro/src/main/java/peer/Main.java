package peer;

import java.io.PrintStream;
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
            System.err.println("usage: server|client --option value ... (see README.md)");
            System.exit(2);
        }
        Map<String, String> options = new HashMap<>();
        for (int i = 1; i < argv.length; i++) {
            String name = argv[i].substring(2);
            options.put(name, FLAGS.contains(name) ? "true" : argv[++i]);
        }
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
            default -> throw new IllegalArgumentException(argv[0]);
        }
    }
}
