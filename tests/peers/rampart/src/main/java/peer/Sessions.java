package peer;

import java.util.Date;
import java.util.HexFormat;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rahas.EncryptedKeyToken;
import org.apache.rahas.SimpleTokenStore;
import org.apache.rahas.Token;
import org.apache.rahas.TrustException;

/** Rampart's own in-memory store, with counters and a view of the live contexts. */
final class Sessions extends SimpleTokenStore {
    final AtomicInteger issued = new AtomicInteger();
    final AtomicInteger cancelled = new AtomicInteger();

    @Override
    public void add(Token token) throws TrustException {
        super.add(token);
        if (!(token instanceof EncryptedKeyToken)) {
            issued.incrementAndGet();
        }
    }

    @Override
    public void update(Token token) throws TrustException {
        super.update(token);
        if (token.getState() == Token.CANCELLED) {
            cancelled.incrementAndGet();
        }
    }

    String json() throws TrustException {
        StringBuilder out = new StringBuilder("[");
        for (String id : getTokenIdentifiers()) {
            Token t = getToken(id);
            if (t == null || t instanceof EncryptedKeyToken || t.getSecret() == null) {
                continue;
            }
            out.append(out.length() > 1 ? ",\n" : "").append("{\"identifier\":\"").append(id)
                .append("\",\"secretHex\":\"").append(HexFormat.of().formatHex(t.getSecret()))
                .append("\",\"created\":\"").append(t.getCreated() == null ? "" : t.getCreated().toInstant())
                .append("\",\"expires\":\"").append(t.getExpires() == null ? "" : t.getExpires().toInstant())
                .append("\",\"state\":\"")
                .append(new String[] {"", "issued", "expired", "cancelled", "renewed"}[t.getState()]).append("\"}");
        }
        return out + "]";
    }

    int forget() throws TrustException {
        String[] all = getTokenIdentifiers();
        for (String id : all) {
            removeToken(id);
        }
        return all.length;
    }

    int expire() throws TrustException {
        int count = 0;
        for (String id : getTokenIdentifiers()) {
            Token t = getToken(id);
            if (t != null) {
                t.setExpires(new Date(System.currentTimeMillis() - 1000));
                count++;
            }
        }
        return count;
    }
}
