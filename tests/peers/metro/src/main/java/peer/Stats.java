package peer;

import java.util.concurrent.atomic.AtomicLong;

final class Stats {
    static final AtomicLong REQUESTS = new AtomicLong();
    static final AtomicLong ISSUED = new AtomicLong();
    static final AtomicLong RENEWED = new AtomicLong();
    static final AtomicLong CANCELLED = new AtomicLong();
    static final AtomicLong APP = new AtomicLong();
    static final AtomicLong FAULTS = new AtomicLong();

    private Stats() { }

    static String json() {
        return "{\"requests\":" + REQUESTS + ",\"issued\":" + ISSUED + ",\"renewed\":" + RENEWED + ",\"cancelled\":" + CANCELLED
            + ",\"calls\":" + APP + ",\"faults\":" + FAULTS + "}";
    }
}
